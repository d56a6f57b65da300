"""Starts spored from its own directory or zipapp, also under `python -IS`, which leaves sys.path without it."""

import os
import sys

if not __package__:
    # Without -I, sys.path[0] is this directory itself, whose module names are nobody else's business.
    _here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.path.dirname(_here)] + [path for path in sys.path if path != _here]

from spored.cli import main

if __name__ == "__main__":
    sys.exit(main())
