"""Where an instance keeps what it knows and says."""

from __future__ import annotations

import os
from dataclasses import dataclass

from spored.errors import UNAVAILABLE, SporedError


@dataclass(frozen=True)
class Places:
    """Paths of this instance; `root` stands for / (another one than / for trying things out)."""

    root: str = "/"

    def _at(self, path: str) -> str:
        return os.path.join(self.root, path)

    @property
    def launch(self) -> str:
        """What the launch said; holds what users put into the environment, so only root may read it."""
        return self._at("etc/spored/launch.json")

    @property
    def home(self) -> str:
        """What outlives a crash and a reboot."""
        return self._at("var/lib/spored")

    @property
    def runner(self) -> str:
        """The runner's directory."""
        return os.path.join(self.home, "runner")

    @property
    def run(self) -> str:
        """What a boot begins without."""
        return self._at("run/spored")

    @property
    def interruption(self) -> str:
        """Tells scripts that the instance is about to be taken back."""
        return os.path.join(self.run, "interruption")

    @property
    def log(self) -> str:
        """What the agent says of itself."""
        return self._at("var/log/spored.log")

    @property
    def cloud_init_log(self) -> str:
        """Where users look for what their user data said."""
        return self._at("var/log/cloud-init-output.log")

    @property
    def unit(self) -> str:
        """The systemd unit."""
        return self._at("etc/systemd/system/spored.service")

    @property
    def command(self) -> str:
        """The `spored` that users of the instance call."""
        return self._at("opt/spored/spored")

    @property
    def profile(self) -> str:
        """Puts that command into the PATH of those who log in."""
        return self._at("etc/profile.d/spored.sh")

    def make(self) -> None:
        """Make the directories that are the agent's alone. Again: nothing."""
        try:
            for path in (self.home, self.run):
                os.makedirs(path, 0o755, exist_ok=True)
            os.chmod(self.home, 0o700)
            os.makedirs(os.path.dirname(self.log), 0o755, exist_ok=True)
        except OSError as error:
            raise SporedError(f"{error.filename} cannot be used: {error.strerror}", UNAVAILABLE) from error
