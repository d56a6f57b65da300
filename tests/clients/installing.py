"""Where the clients come from: PyPI, npm, or this machine."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).resolve().parent


def quietly(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed, and give what it prints; when it fails, all that it printed is shown and everything ends."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Source(Protocol):
    """How one client comes here."""

    def missing(self) -> str | None:
        """Why it can't be had on this machine; None when it can."""

    def install(self, cache: Path) -> None:
        """Install it into a directory of the cache. What is there already is kept."""

    def variables(self, cache: Path, exports: Mapping[str, str]) -> dict[str, str]:
        """What its program needs in the environment, besides the variables that `spawn serve` prints."""

    def versions(self, cache: Path) -> str:
        """What was installed, as `package 1.2.3`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PyPI:
    """A virtual environment with the `requirements.txt` of its directory, made with uv, which itself comes from PyPI.

    The packages are those whose versions are told.
    """

    name: str
    packages: tuple[str, ...]

    def missing(self) -> str | None:
        return None

    def install(self, cache: Path) -> None:
        uv = cache / "uv" / "bin" / "uv"
        settings = {**os.environ, "UV_CACHE_DIR": str(cache / "packages"), "UV_NO_PROGRESS": "1"}
        if not uv.exists():
            quietly([sys.executable, "-m", "venv", str(cache / "uv")])
            quietly([str(uv.with_name("python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"])
        if not self.python(cache).exists():
            quietly([str(uv), "venv", "--quiet", "--python", sys.executable, str(cache / self.name)], settings)
        requirements = str(HERE / self.name / "requirements.txt")
        quietly([str(uv), "pip", "install", "--quiet", "--python", str(self.python(cache)), "--requirement", requirements], settings)

    def python(self, cache: Path) -> Path:
        """The environment's Python."""
        return cache / self.name / "bin" / "python"

    def variables(self, cache: Path, exports: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": f"{self.python(cache).parent}:{os.environ['PATH']}"}

    def versions(self, cache: Path) -> str:
        ask = "import sys, importlib.metadata as m; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
        return quietly([str(self.python(cache)), "-c", ask, *self.packages]).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Npm:
    """The `package.json` of its directory, where this machine has Node.js."""

    name: str
    package: str

    def missing(self) -> str | None:
        return None if shutil.which("npm") else "this machine has no Node.js"

    def install(self, cache: Path) -> None:
        place = cache / self.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / self.name / "package.json", place)
        quietly(["npm", "install", "--prefix", str(place), "--loglevel", "error", "--no-audit", "--no-fund", "--cache", str(cache / "npm")])

    def variables(self, cache: Path, exports: Mapping[str, str]) -> dict[str, str]:
        return {"NODE_MODULES": str(cache / self.name / "node_modules"), "PATH": os.environ["PATH"]}

    def versions(self, cache: Path) -> str:
        described = json.loads((cache / self.name / "node_modules" / self.package / "package.json").read_text())
        return f"{self.package} {described['version']}"


class AwsCli2:
    """The AWS CLI of version 2, which is not on PyPI: the one of this machine, such as Debian's."""

    _PLACES = ("/usr/local/bin/aws", "/usr/bin/aws")

    def missing(self) -> str | None:
        return None if self._found() else "this machine has no AWS CLI 2 (Debian's package is called awscli)"

    def install(self, cache: Path) -> None:
        """It is here already."""

    def variables(self, cache: Path, exports: Mapping[str, str]) -> dict[str, str]:
        place, version = self._found() or ("aws", "2")
        named = {"AWS": place, "PATH": os.environ["PATH"]}
        if tuple(int(part) for part in version.split(".")) >= (2, 13):  # from then on it knows AWS_ENDPOINT_URL_BATCH
            return named
        return {**named, "BATCH_URL": exports["AWS_ENDPOINT_URL_BATCH"], "LOGS_URL": exports["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"]}

    def versions(self, cache: Path) -> str:
        return "aws-cli " + (self._found() or ("", ""))[1]

    def _found(self) -> tuple[str, str] | None:
        for place in self._PLACES:
            if Path(place).exists():
                version = quietly([place, "--version"], {"PATH": "/usr/bin:/bin"}).split()[0].removeprefix("aws-cli/")
                if version.startswith("2."):
                    return place, version
        return None
