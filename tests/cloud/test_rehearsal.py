"""`spawn launch --rehearse`: the whole launch, in a laboratory, at no price."""

from __future__ import annotations

from tests.system.conftest import Shell, shell

__all__ = ["shell"]

SCRIPT = "#!/bin/sh\necho member $TASK_ARRAY_INDEX of $TASK_ARRAY_SIZE\ntest $TASK_ARRAY_INDEX != 1\n"


def test_a_rehearsal_runs_the_script_on_machines_that_cost_nothing_and_leaves_nothing(shell: Shell) -> None:
    done = shell("launch", "--provider", "ec2", "--rehearse", "--array", "2", "--on-complete", "terminate", "--user-data", SCRIPT, code=7, timeout_s=120)
    assert "1 SUCCEEDED" in done.err
    assert "1 FAILED" in done.err
    assert "end of the log of index 1, attempt 1:\n      member 1 of 2\n" in done.err
    assert "End of the log of array-0:\n  member 0 of 2\n" in done.err
    assert "So far: $" in done.err
    assert "RunInstances" in done.err
    assert done.err.rstrip().endswith("nothing was launched, and nothing has to be paid")
    assert not (shell.state / "store.db").exists()
