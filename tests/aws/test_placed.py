"""Real processes in real compute environments: each knows its own, and no cap is passed."""

from __future__ import annotations

from spawn.domain.queues import ComputeEnvironment, JobQueue
from spawn.engine.state import EngineState
from tests.aws.serving import Local


def test_children_of_one_array_run_in_two_environments_and_know_in_which(local: Local) -> None:
    def make(state: EngineState) -> None:
        for name in ("a", "b"):
            state.put(ComputeEnvironment(name=name, provider="local", max_cpus=1000))
        state.put(JobQueue(name="q", environments=("a", "b")))

    local.do(make)
    job = local.put(6, command=("sh", "-c", 'echo "$AWS_BATCH_CE_NAME" > "$TASK_OUTPUT_DIR/where"; sleep 0.05'), queue="q")
    local.wait(job.id)
    told = {position: (local.files.output(job, position, 1) / "where").read_text().strip() for position in range(6)}
    assert told == {position: row.environment for position, row in local.store.rows(job.key)}
    assert set(told.values()) == {"a", "b"}
