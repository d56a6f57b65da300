"""What the runner is told of a job: held to the written wire format, and understood by the runner's own reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from spawn.providers.local.spec import spec_of
from spored.specs import parse_spec
from tests.domain.making import make_job
from tests.spored.schema import hold


def spec(**work: Any) -> dict[str, object]:
    job = make_job(1, 3)
    job = replace(job, work=replace(job.work, **work))
    made = spec_of(job, directory=Path("/state/arrays/x"), runner_directory=Path("/state/runner"), max_concurrent=None, memory_limit=True)
    hold("spec", made)
    return made


def test_a_job_is_told_as_the_wire_says() -> None:
    assert parse_spec(spec(workdir="/work")).workdir == "/work"


def test_a_job_without_a_working_directory_is_told_as_such_and_needs_nothing_shown_for_it() -> None:
    made = spec(workdir="", private_tmp=True)
    assert made["workdir"] is None
    assert "" not in made["visible"]  # type: ignore[operator]
    assert parse_spec(made).workdir is None
