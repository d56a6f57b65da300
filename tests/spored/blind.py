"""spored on a kernel that does not tell a process's children (CONFIG_PROC_CHILDREN is off)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from spored import family
from spored.cli import main

family._open_children_file = lambda: -1

if __name__ == "__main__":
    sys.exit(main())
