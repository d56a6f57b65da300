"""spored whose looks at the machine are out of date: while it looks, the attempt that waits at the pipe `go` beside its directory does one more thing."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from spored.cli import main
from spored.family import Census, Family

_place = Path(sys.argv[sys.argv.index("--directory") + 1]).parent
_look = Family.census


def census(family: Family, logs: Callable[[], dict[bytes, str]]) -> Census:
    """What was there before the attempt went on, told when it has done so, which it says at the pipe `done`. Only the first time."""
    seen = _look(family, logs)
    go = _place / "go"
    if go.exists():
        with go.open("w") as pipe:
            pipe.write("\n")
        with (_place / "done").open() as pipe:
            pipe.read()
        os.unlink(go)
    return seen


Family.census = census

if __name__ == "__main__":
    sys.exit(main())
