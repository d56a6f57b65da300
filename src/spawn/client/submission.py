"""What is asked of the engine: a launch (docs/api.md, "Submission")."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field


class Submission(Struct, frozen=True, kw_only=True):
    """What is to be launched."""

    name: str | None = None
    indexes: str | None = None
    max_concurrent: int | None = None
    script: str | None = None
    command: list[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    workdir: str | None = None
    ttl_s: float | None = None
    timeout_s: float | None = None
    on_complete: str | None = None
    retries: int = 0
    retry_on: list[str] = field(default_factory=list)
    max_failures: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    cpus: float | None = None
    memory_mib: int | None = None
    private_tmp: bool | None = None
    depends_on: list[dict[str, str | None]] = field(default_factory=list)
    sequential: bool = False
    cloud: dict[str, Any] = field(default_factory=dict)
    compat_env: bool = True
    umask: int | None = None
    grace_s: float | None = None
    provider: str = "local"
    no_ttl: bool = False
    idle_s: float | None = None
    access: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False

    def __repr__(self) -> str:
        return f"Submission({self.name or 'without a name'}, on {self.provider})"
