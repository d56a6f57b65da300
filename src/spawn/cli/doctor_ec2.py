"""The part of `spawn doctor` about EC2: quick where there is no AWS access, and never longer than its time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from spawn.cli.accessing import access_here
from spawn.cli.reaching import running_engine
from spawn.client import cloud
from spawn.domain.errors import SpawnError
from spawn.domain.hindrances import Because

WITHIN_S: Final = 20.0
"""What has not been found out by then is not waited for."""

_BILLED: Final = Because.BILLED.value
"""The kind of a remark on instances that cannot be ended (docs/api.md)."""

_VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_FILES: Final = (("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"), ("AWS_CONFIG_FILE", "~/.aws/config"))
_VENDOR: Final = Path("/sys/class/dmi/id/sys_vendor")

Finding = tuple[str, str, str]


def examine(*, engine_runs: bool, environment: Mapping[str, str] = os.environ, within_s: float = WITHIN_S) -> Iterator[Finding]:
    """What there is to say of EC2, as (result, check, found); never `fail`: arrays run without it."""
    if engine_runs:
        yield from _cannot_be_ended()
    if not has_access(environment):
        yield "ok", "AWS account", "no AWS credentials: arrays run on this machine; `aws configure` opens EC2"
        return
    end = time.monotonic() + within_s
    yield from _asked(environment, leftovers=not engine_runs, within_s=within_s)
    if engine_runs and (left_s := end - time.monotonic()) > 0:
        yield _leftovers_by_engine(environment, left_s)


def _cannot_be_ended() -> Iterator[Finding]:
    """Instances that go on costing though the engine wants their end, as it says of each array."""
    try:
        arrays = running_engine().arrays()
    except SpawnError:
        return  # that it does not answer is told elsewhere
    for array in arrays:
        for remark in array.remarks or ():
            if remark.kind == _BILLED:
                yield "warn", "instances", f"{array.array_id}: {remark.count} × {remark.reason}"


def has_access(environment: Mapping[str, str]) -> bool:
    """Whether AWS credentials may be found from here. Reads no secret and asks nobody."""
    if any(environment.get(name) for name in _VARIABLES):
        return True
    paths = (Path(environment.get(name) or default.replace("~", environment.get("HOME", "~"))) for name, default in _FILES)
    if any(path.is_file() and path.stat().st_size for path in paths):
        return True
    try:
        return environment.get("AWS_EC2_METADATA_DISABLED") != "true" and _VENDOR.read_text().startswith("Amazon EC2")
    except OSError:
        return False


def _asked(environment: Mapping[str, str], *, leftovers: bool, within_s: float) -> Iterator[Finding]:
    command = [sys.executable, "-m", "spawn.providers.ec2.examining", *([] if leftovers else ["--without-leftovers"])]
    problem = ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, env=dict(environment), check=False)
        out, problem = done.stdout, "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    except subprocess.TimeoutExpired as late:
        out = _text(late.stdout)
        asked = environment.get("AWS_ENDPOINT_URL") or "AWS"
        some = '"AWS account"' in out
        problem = f"{asked} did not answer within {within_s:g} s"
        if some:
            problem = f"{asked} has not answered everything within {within_s:g} s: see above what it did answer"
    for line in out.splitlines():
        try:
            result, check, found = json.loads(line)
        except ValueError:
            continue  # the last line may have been cut off
        yield result, check, found
    if problem:
        yield "warn", "EC2", problem


def _text(output: object) -> str:
    # what a program had written when its time was over comes as bytes or as text
    return output.decode(errors="replace") if isinstance(output, bytes) else str(output or "")


def _leftovers_by_engine(environment: Mapping[str, str], within_s: float) -> Finding:
    """The engine knows which arrays live."""
    try:
        found = cloud.cleanup(running_engine(), regions=(), access=access_here(environment), dry_run=True, within_s=within_s)
    except SpawnError as error:
        return "warn", "left over on AWS", str(error)
    where = f"{len(found.regions)} regions" + (f"; not looked at: {', '.join(found.failed)}" if found.failed else "")
    if found.leftovers:
        return "warn", "left over on AWS", f"{len(found.leftovers)} in {where}: `spawn cleanup` shows and removes them"
    return "warn" if found.failed else "ok", "left over on AWS", f"nothing in {where}"
