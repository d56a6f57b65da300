from __future__ import annotations

from datetime import timedelta

from spawn.domain.outcomes import Outcome, OutcomeKind

INSTANCE = "i-a1b2c3d4e50000701"


def test_a_process_that_exits_with_0_has_succeeded() -> None:
    outcome = Outcome.exited(0)
    assert outcome.succeeded
    assert (outcome.exit_code, outcome.signal, outcome.reason) == (0, None, None)
    assert outcome.status_reason == "Essential container in task exited"


def test_a_process_that_exits_otherwise_has_failed_under_the_same_status_reason() -> None:
    outcome = Outcome.exited(3)
    assert outcome.kind is OutcomeKind.FAILED
    assert (outcome.exit_code, outcome.reason) == (3, None)
    assert outcome.status_reason == "Essential container in task exited"


def test_a_process_killed_by_a_signal_reports_128_and_its_number_as_a_container_does() -> None:
    outcome = Outcome.killed(15)
    assert (outcome.kind, outcome.exit_code, outcome.signal) == (OutcomeKind.FAILED, 143, 15)


def test_a_process_that_could_not_be_made_has_no_exit_code() -> None:
    outcome = Outcome.refused("CannotStartContainerError: no such file")
    assert (outcome.kind, outcome.exit_code) == (OutcomeKind.REFUSED, None)
    assert outcome.reason == "CannotStartContainerError: no such file"
    assert outcome.status_reason == "Task failed to start"


def test_a_process_killed_for_its_memory_says_so_in_the_words_of_ecs() -> None:
    outcome = Outcome.out_of_memory()
    assert (outcome.kind, outcome.exit_code, outcome.signal) == (OutcomeKind.OUT_OF_MEMORY, 137, 9)
    assert outcome.reason == "OutOfMemoryError: Container killed due to memory usage"
    assert outcome.status_reason == "Essential container in task exited"


def test_a_timeout_reports_the_exit_code_that_there_really_was() -> None:
    assert Outcome.timed_out(None, 9).exit_code == 137
    assert Outcome.timed_out(3, None).exit_code == 3
    assert Outcome.timed_out(None, None).exit_code is None
    assert Outcome.timed_out(0, None).status_reason == "Job attempt duration exceeded timeout"
    assert not Outcome.timed_out(0, None).succeeded


def test_a_termination_carries_the_reason_of_its_user() -> None:
    outcome = Outcome.stopped("wrong input", signal=15)
    assert (outcome.kind, outcome.status_reason, outcome.exit_code) == (OutcomeKind.STOPPED, "wrong input", 143)


def test_the_end_of_a_ttl_names_the_instance_and_the_ttl() -> None:
    outcome = Outcome.expired(INSTANCE, timedelta(minutes=90), signal=15)
    assert outcome.kind is OutcomeKind.EXPIRED
    assert outcome.status_reason == f"Instance {INSTANCE} reached the end of its TTL of 1h30m"
    assert outcome.exit_code == 143


def test_a_lost_attempt_says_what_retry_rules_in_the_wild_match_and_is_not_failed() -> None:
    outcome = Outcome.lost(INSTANCE)
    assert outcome.status_reason == f"Host EC2 (instance {INSTANCE}) terminated."
    assert outcome.is_lost
    assert outcome.kind is not OutcomeKind.FAILED
    assert not outcome.succeeded
    assert outcome.exit_code is None


def test_what_the_script_says_of_itself_counts_and_its_exit_code_is_recorded() -> None:
    good = Outcome.completed(True, "42 rows", code=1)
    assert good.succeeded
    assert (good.exit_code, good.message) == (1, "42 rows")
    bad = Outcome.completed(False, "no rows", code=0)
    assert (bad.kind, bad.exit_code, bad.message) == (OutcomeKind.FAILED, 0, "no rows")
    assert Outcome.completed(True, None).exit_code is None
