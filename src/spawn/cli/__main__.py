"""`python -m spawn.cli` is `spawn`."""

import sys

from spawn.cli.main import main

sys.exit(main())
