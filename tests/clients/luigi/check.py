"""Luigi's `contrib.batch`: two tasks, one needing the other, and a failing one whose log Luigi reads."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import luigi
from luigi.contrib.batch import BatchClient, BatchJobException, BatchTask

HERE = Path.cwd()


def define(name: str, *command: str) -> None:
    """Register a definition from a JSON file, through Luigi's own client."""
    file = HERE / f"{name}.json"
    properties = {
        "image": "busybox",
        "command": list(command),
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
    }
    file.write_text(json.dumps({"jobDefinitionName": name, "type": "container", "containerProperties": properties}))
    BatchClient().register_job_definition(str(file))


class Numbers(BatchTask):  # type: ignore[misc]
    """Writes the numbers up to a limit."""

    limit = luigi.IntParameter(default=5)
    job_definition = "luigi-numbers"
    job_queue = "default"
    poll_time = 1

    @property
    def parameters(self) -> dict[str, str]:
        return {"limit": str(self.limit), "file": self.output().path}

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(HERE / f"numbers-{self.limit}"))


class Total(BatchTask):  # type: ignore[misc]
    """Adds up what `Numbers` wrote. Names no queue: Luigi takes the first that is enabled."""

    job_definition = "luigi-total"
    job_name = "luigi-total"
    poll_time = 1

    def requires(self) -> Numbers:
        return Numbers(limit=7)

    @property
    def parameters(self) -> dict[str, str]:
        return {"numbers": self.input().path, "file": self.output().path}

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(HERE / "total"))


class Broken(BatchTask):  # type: ignore[misc]
    """Fails, having said why."""

    job_definition = "luigi-broken"
    poll_time = 1


define("luigi-numbers", "sh", "-c", 'seq "$0" > "$1.part" && mv "$1.part" "$1"', "Ref::limit", "Ref::file")
define("luigi-total", "sh", "-c", 'awk "{ total += \\$1 } END { print total }" "$0" > "$1"', "Ref::numbers", "Ref::file")
define("luigi-broken", "sh", "-c", "echo the disk is on fire; exit 9")

logging.getLogger("luigi").setLevel(logging.WARNING)
assert luigi.build([Total()], local_scheduler=True, workers=1)
assert (HERE / "numbers-7").read_text().split() == ["1", "2", "3", "4", "5", "6", "7"]
assert (HERE / "total").read_text() == "28\n"

try:
    Broken().run()
    said = "that a failing job is a good one"
except BatchJobException as error:
    said = str(error)
assert "the disk is on fire" in said, said
