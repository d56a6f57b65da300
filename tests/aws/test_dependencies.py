"""Every combination of `dependsOn`, from SubmitJob to what DescribeJobs shows (spec 2.10)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spawn.api.aws.failures import AwsError
from spawn.domain.ids import AttemptId
from spawn.domain.queues import JobQueue
from spawn.engine import commands
from spawn.engine.submission import Submission
from tests.aws.serving import Scripted

DEPENDENT = "FAILED: Dependent Job failed"
WAITS, GOES, DONE = "PENDING", "STARTING", "SUCCEEDED"
OVER = "SUCCEEDED: Essential container in task exited"
FAILED = "FAILED: Essential container in task exited"


class Workflow:
    """Jobs by name, with room for all of them at once."""

    def __init__(self, served: Scripted) -> None:
        self.served = served
        self.ids: dict[str, str] = {}
        served.call("RegisterJobDefinition", jobDefinitionName="work", type="container", containerProperties={"command": ["true"]})

    def submit(self, name: str, size: int | None = None, *depends_on: dict[str, str], **members: Any) -> None:
        """Submit a job; `jobId` of a dependency is the name of an earlier one, `A` or `A:3`."""
        entries = [entry | ({"jobId": self.id(entry["jobId"])} if "jobId" in entry else {}) for entry in depends_on]
        array = {} if size is None else {"arrayProperties": {"size": size}}
        asked = {"jobName": name, "jobQueue": "default", "jobDefinition": "work", "dependsOn": entries} | array | members
        self.ids[name] = self.served.call("SubmitJob", **asked)["jobId"]
        self.served.do(lambda _: None)

    def id(self, name: str) -> str:
        job, colon, index = name.partition(":")
        return f"{self.ids[job]}{colon}{index}"

    def end(self, *names: str, code: int = 0) -> None:
        """Let the jobs or children of these names run to their end, one after the other."""
        for name in names:
            job, _, index = name.partition(":")
            row = self.served.store.job(self.ids[job])  # type: ignore[arg-type]
            assert row is not None
            (attempt,) = [one for one in self.served.running(row.job.key) if one.position == int(index or 0)]
            self.finish(attempt, code)

    def finish(self, attempt: AttemptId, code: int = 0) -> None:
        self.served.begin(attempt)
        self.served.end(attempt, code=code)

    def fate(self, name: str) -> str:
        """Status and reason of a job, a parent or a child."""
        described = self.served.describe(self.id(name))
        return described["status"] + (f": {described['statusReason']}" if "statusReason" in described else "")

    def fates(self, name: str, size: int) -> list[str]:
        return [self.fate(f"{name}:{index}") for index in range(size)]

    def refusal(self, size: int | None, *depends_on: dict[str, str]) -> str:
        with pytest.raises(AwsError) as refused:
            self.submit("refused", size, *depends_on)
        assert (refused.value.code, refused.value.status) == ("ClientException", 400)
        return refused.value.message


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Workflow]:
    served = Scripted(tmp_path, slots=64)
    yield Workflow(served)
    served.close()


# --- on a whole job -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{}, {"type": "SEQUENTIAL"}, {"type": "N_TO_N"}])
def test_a_single_job_waits_for_a_single_job_whatever_the_type(flow: Workflow, kind: dict[str, str]) -> None:
    flow.submit("J")
    flow.submit("one", None, {"jobId": "J", **kind})
    assert flow.fate("one") == WAITS
    flow.end("J")
    assert flow.fate("one") == GOES


@pytest.mark.parametrize("kind", [{}, {"type": "SEQUENTIAL"}, {"type": "N_TO_N"}])
def test_every_child_waits_for_a_single_job_whatever_the_type(flow: Workflow, kind: dict[str, str]) -> None:
    flow.submit("J")
    flow.submit("all", 3, {"jobId": "J", **kind})
    assert [flow.fate("all"), *flow.fates("all", 3)] == [WAITS] * 4
    flow.end("J")
    assert [flow.fate("all"), *flow.fates("all", 3)] == [WAITS, GOES, GOES, GOES]


@pytest.mark.parametrize("size", [None, 3])
def test_what_depends_on_a_job_fails_with_it_and_never_runs(flow: Workflow, size: int | None) -> None:
    flow.submit("J")
    flow.submit("dependent", size, {"jobId": "J"})
    flow.submit("further", None, {"jobId": "dependent"})
    flow.end("J", code=1)
    assert [flow.fate(name) for name in ("J", "dependent", "further")] == [FAILED, DEPENDENT, DEPENDENT]
    if size is not None:
        assert flow.fates("dependent", size) == [DEPENDENT] * size
    assert len(flow.served.provider.started) == 1


@pytest.mark.parametrize("size", [None, 2])
def test_a_whole_array_has_succeeded_when_all_its_children_have(flow: Workflow, size: int | None) -> None:
    flow.submit("A", 3)
    flow.submit("dependent", size, {"jobId": "A"})
    for index in range(3):
        assert flow.fate("dependent") == WAITS
        flow.end(f"A:{index}")
    assert (flow.fate("dependent") if size is None else flow.fate("dependent:1")) == GOES


def test_a_failed_child_fails_what_depends_on_its_array_when_all_its_siblings_have_ended(flow: Workflow) -> None:
    flow.submit("A", 3)
    flow.submit("dependent", 2, {"jobId": "A"})
    flow.end("A:0", code=1)
    flow.end("A:1")
    assert (flow.fate("A"), flow.fate("dependent")) == (WAITS, WAITS)
    flow.end("A:2")
    assert (flow.fate("A"), flow.fate("dependent")) == ("FAILED: Array Child Job failed", DEPENDENT)


def test_an_array_of_n_to_n_on_a_whole_array_from_a_single_job_is_a_plain_dependency(flow: Workflow) -> None:
    flow.submit("A", 2)
    flow.submit("one", None, {"jobId": "A", "type": "N_TO_N"})
    flow.end("A:0")
    assert flow.fate("one") == WAITS
    flow.end("A:1")
    assert flow.fate("one") == GOES


def test_a_retry_of_a_dependency_neither_releases_nor_fails(flow: Workflow) -> None:
    flow.submit("J", None, retryStrategy={"attempts": 2})
    flow.submit("one", None, {"jobId": "J"})
    flow.end("J", code=1)
    assert (flow.fate("J"), flow.fate("one")) == (GOES, WAITS)
    flow.end("J")
    assert flow.fate("one") == GOES


def test_dependencies_cross_queues_and_may_be_given_by_arn(flow: Workflow) -> None:
    flow.served.do(lambda state: state.put(JobQueue(name="other", environments=("local",))))
    flow.submit("A", 2, jobQueue="other")
    arn = "arn:aws:batch:us-east-1:123456789012:job"
    flow.ids |= {"arn": f"{arn}/{flow.ids['A']}", "child": f"{arn}/{flow.ids['A']}:1"}
    flow.submit("whole", None, {"jobId": "arn"})
    flow.submit("part", None, {"jobId": "child"})
    flow.end("A:1")
    assert (flow.fate("whole"), flow.fate("part")) == (WAITS, GOES)
    flow.end("A:0")
    assert flow.fate("whole") == GOES


def test_a_job_may_depend_on_one_that_was_not_submitted_by_a_batch_client(flow: Workflow) -> None:
    launch = Submission(command=("true",), workdir="/", indexes="2")
    flow.ids["L"] = flow.served.do(lambda state: commands.submit(state, launch, ())).job.id
    flow.submit("child", None, {"jobId": "L:1"})
    flow.submit("each", 2, {"jobId": "L", "type": "N_TO_N"})
    flow.end("L:1")
    assert [flow.fate("child"), *flow.fates("each", 2)] == [GOES, WAITS, GOES]


# --- on a child -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 2])
def test_a_job_may_wait_for_one_child_alone(flow: Workflow, size: int | None) -> None:
    flow.submit("A", 4)
    flow.submit("dependent", size, {"jobId": "A:3"})
    flow.end("A:0", "A:1", code=1)
    assert flow.fate("dependent") == WAITS
    flow.end("A:3")
    assert flow.fate("dependent" if size is None else "dependent:0") == GOES


def test_a_job_fails_with_the_child_that_it_waits_for(flow: Workflow) -> None:
    flow.submit("A", 4)
    flow.submit("dependent", None, {"jobId": "A:3"})
    flow.end("A:3", code=1)
    assert (flow.fate("A"), flow.fate("dependent")) == (WAITS, DEPENDENT)


# --- in sequence ----------------------------------------------------------------------------------------------------------


def test_the_children_of_a_sequential_array_go_one_after_the_other(flow: Workflow) -> None:
    flow.submit("S", 3, {"type": "SEQUENTIAL"})
    assert flow.fates("S", 3) == [GOES, WAITS, WAITS]
    flow.end("S:0")
    assert flow.fates("S", 3)[1:] == [GOES, WAITS]
    flow.end("S:1", "S:2")
    assert flow.fate("S") == DONE


def test_a_failure_fails_the_rest_of_a_sequential_array(flow: Workflow) -> None:
    flow.submit("S", 4, {"type": "SEQUENTIAL"})
    flow.end("S:0")
    flow.end("S:1", code=1)
    assert [flow.fate("S"), *flow.fates("S", 4)] == ["FAILED: Array Child Job failed", OVER, FAILED, DEPENDENT, DEPENDENT]


def test_a_plain_dependency_holds_back_the_first_of_a_sequential_array(flow: Workflow) -> None:
    flow.submit("C", 2)
    flow.submit("D", 3, {"jobId": "C"}, {"type": "SEQUENTIAL"})
    assert flow.fates("D", 3) == [WAITS] * 3
    flow.end("C:0", "C:1")
    assert flow.fates("D", 3) == [GOES, WAITS, WAITS]


# --- child by child -------------------------------------------------------------------------------------------------------


def test_each_child_waits_for_the_child_of_its_index_and_fails_alone_with_it(flow: Workflow) -> None:
    flow.submit("B", 3)
    flow.submit("C", 3, {"jobId": "B", "type": "N_TO_N"})
    flow.end("B:1")
    assert flow.fates("C", 3) == [WAITS, GOES, WAITS]
    flow.end("B:2", code=1)
    flow.end("B:0")
    assert flow.fates("C", 3) == [GOES, GOES, DEPENDENT]
    flow.end("C:0", "C:1")
    assert flow.fate("C") == "FAILED: Array Child Job failed"


def test_each_child_waits_for_its_index_of_every_array(flow: Workflow) -> None:
    flow.submit("A", 2)
    flow.submit("B", 2)
    flow.submit("C", 2, {"jobId": "A", "type": "N_TO_N"}, {"jobId": "B", "type": "N_TO_N"})
    flow.end("A:0", "B:1")
    assert flow.fates("C", 2) == [WAITS, WAITS]
    flow.end("B:0")
    assert flow.fates("C", 2) == [GOES, WAITS]
    flow.end("A:1", code=1)
    assert flow.fates("C", 2) == [GOES, DEPENDENT]


def test_n_to_n_and_a_sequence_hold_together(flow: Workflow) -> None:
    flow.submit("A", 2)
    flow.submit("C", 2, {"jobId": "A", "type": "N_TO_N"}, {"type": "SEQUENTIAL"})
    flow.end("A:1")
    assert flow.fates("C", 2) == [WAITS, WAITS]
    flow.end("A:0")
    assert flow.fates("C", 2) == [GOES, WAITS]
    flow.end("C:0")
    assert flow.fates("C", 2)[1] == GOES


# --- on what is over ------------------------------------------------------------------------------------------------------


@pytest.fixture
def past(flow: Workflow) -> Workflow:
    """ok and bad are single jobs, A succeeded, and of B child 1 failed; all of it has left memory."""
    flow.submit("ok")
    flow.submit("bad")
    flow.submit("A", 3)
    flow.submit("B", 3)
    flow.end("ok", "A:0", "A:1", "A:2", "B:0", "B:2")
    flow.end("bad", "B:1", code=1)
    flow.served.restart()
    assert flow.served.engine.call(lambda state: len(state.book.by_key)) == 0
    return flow


@pytest.mark.parametrize("name", ["ok", "A", "A:1", "B:0"])
def test_what_has_succeeded_holds_nobody(past: Workflow, name: str) -> None:
    past.submit("single", None, {"jobId": name})
    past.submit("array", 2, {"jobId": name})
    assert [past.fate("single"), *past.fates("array", 2)] == [GOES] * 3


@pytest.mark.parametrize("name", ["bad", "B", "B:1"])
def test_what_depends_on_a_failure_is_taken_and_fails_at_once(past: Workflow, name: str) -> None:
    past.submit("single", None, {"jobId": name})
    past.submit("array", 2, {"jobId": name})
    past.submit("further", None, {"jobId": "single"})
    assert [past.fate(one) for one in ("single", "array", "array:0", "array:1", "further")] == [DEPENDENT] * 5


def test_child_by_child_on_an_array_that_is_over_each_has_its_own_fate(past: Workflow) -> None:
    past.submit("C", 3, {"jobId": "B", "type": "N_TO_N"})
    assert past.fates("C", 3) == [GOES, DEPENDENT, GOES]
    past.submit("D", 3, {"jobId": "A", "type": "N_TO_N"}, {"jobId": "B", "type": "N_TO_N"})
    assert past.fates("D", 3) == [GOES, DEPENDENT, GOES]


def test_child_by_child_in_sequence_on_an_array_that_is_over(past: Workflow) -> None:
    past.submit("C", 3, {"jobId": "B", "type": "N_TO_N"}, {"type": "SEQUENTIAL"})
    assert past.fates("C", 3) == [GOES, DEPENDENT, DEPENDENT]
    past.end("C:0")
    assert past.fate("C") == "FAILED: Array Child Job failed"


def test_a_child_that_has_failed_while_its_array_runs_on_fails_what_is_submitted_after_it(flow: Workflow) -> None:
    flow.submit("A", 3)
    flow.end("A:1", code=1)
    flow.submit("one", None, {"jobId": "A:1"})
    flow.submit("each", 3, {"jobId": "A", "type": "N_TO_N"})
    assert [flow.fate("one"), *flow.fates("each", 3)] == [DEPENDENT, WAITS, DEPENDENT, WAITS]


def test_a_restart_while_it_waits_changes_nothing(flow: Workflow) -> None:
    flow.submit("A", 3)
    flow.submit("one", None, {"jobId": "A:1"})
    flow.submit("each", 3, {"jobId": "A", "type": "N_TO_N"})
    flow.submit("whole", 2, {"jobId": "A"}, {"type": "SEQUENTIAL"})
    flow.end("A:2", code=1)
    flow.served.restart()
    flow.end("A:1")
    flow.served.restart()
    assert [flow.fate("one"), *flow.fates("each", 3), flow.fate("whole")] == [GOES, WAITS, GOES, DEPENDENT, WAITS]
    flow.end("A:0")
    assert [*flow.fates("each", 3), flow.fate("whole")] == [GOES, GOES, DEPENDENT, DEPENDENT]


# --- what is refused ------------------------------------------------------------------------------------------------------


def test_what_cannot_be_waited_for_is_refused(past: Workflow) -> None:
    past.ids["none"] = "00000000-0000-4000-8000-000000000000"
    assert "There is no job '00000000-0000-4000-8000-000000000000' to depend on" in past.refusal(None, {"jobId": "none"})
    assert "has no index 3 to depend on: it has 0-2" in past.refusal(None, {"jobId": "A:3"})
    assert "is a single job and has no index 0" in past.refusal(None, {"jobId": "ok:0"})
    assert "has 3 children, this array 4" in past.refusal(4, {"jobId": "A", "type": "N_TO_N"})
    assert "SEQUENTIAL orders the children of an array" in past.refusal(None, {"type": "SEQUENTIAL"})
    assert "Job cannot have more than 20 dependencies, RequestId: " in past.refusal(None, *[{"jobId": "ok"}] * 21)
    assert past.served.store.counts() == (0, 4)


def test_twenty_dependencies_are_taken(past: Workflow) -> None:
    past.submit("one", None, *[{"jobId": "ok"}] * 20)
    assert past.fate("one") == GOES
