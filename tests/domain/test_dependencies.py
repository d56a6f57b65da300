"""Every row of the table of dependencies (spec 2.10), and what a child comes to from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.dependencies import (
    Dependency,
    DependencyType,
    Target,
    Verdict,
    Waits,
    describe_for_child,
    parse_depends_on,
    read_dependency,
    resolve,
    verdict,
)
from spawn.domain.errors import Conflict, InvalidField, NotFound, UsageError
from spawn.domain.ids import JobId
from spawn.domain.indexes import IndexSet
from spawn.domain.states import Status

J, K, A, B, OWN = JobId("J"), JobId("K"), JobId("A"), JobId("B"), JobId("OWN")
FIVE = IndexSet.selection("0-4")
TARGETS = {
    J: Target(job=J, status=Status.RUNNING),
    K: Target(job=K, status=Status.FAILED),
    A: Target(job=A, status=Status.PENDING, indexes=FIVE),
    B: Target(job=B, status=Status.PENDING, indexes=FIVE),
}
N_TO_N, SEQUENTIAL = DependencyType.N_TO_N, DependencyType.SEQUENTIAL


def waits_of(*dependencies: Dependency, indexes: IndexSet | None = FIVE) -> Waits:
    return resolve(dependencies, targets=TARGETS, indexes=indexes)


def judged(
    waits: Waits,
    index: int = 0,
    *,
    whole: Mapping[JobId, Status] | None = None,
    children: Mapping[tuple[JobId, int], Status] | None = None,
    own: Mapping[int, Status] | None = None,
) -> Verdict:
    return verdict(
        waits,
        position=index,
        index=index,
        status_of_whole=(whole or {}).__getitem__,
        status_of_child=lambda job, other: (children or {})[job, other],
        own_status=(own or {}).__getitem__,
    )


# --- the table ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indexes", [None, FIVE])
def test_every_child_waits_for_a_single_job(indexes: IndexSet | None) -> None:
    waits = waits_of(Dependency(job=J), indexes=indexes)
    assert waits == Waits(whole=(J,))
    assert judged(waits, 3, whole={J: Status.RUNNING}) is Verdict.WAIT
    assert judged(waits, 3, whole={J: Status.SUCCEEDED}) is Verdict.READY
    assert judged(waits, 3, whole={J: Status.FAILED}) is Verdict.FAIL


@pytest.mark.parametrize("indexes", [None, FIVE, IndexSet.selection("7-9")])
def test_a_plain_dependency_on_an_array_waits_for_its_parent(indexes: IndexSet | None) -> None:
    waits = waits_of(Dependency(job=A), indexes=indexes)
    assert waits == Waits(whole=(A,))
    # a child of A has failed, but the parent settles only when all have ended
    assert judged(waits, whole={A: Status.PENDING}) is Verdict.WAIT
    assert judged(waits, whole={A: Status.FAILED}) is Verdict.FAIL


@pytest.mark.parametrize("type_", [None, N_TO_N, SEQUENTIAL])
def test_a_child_of_an_array_is_a_job_that_can_be_waited_for(type_: DependencyType | None) -> None:
    waits = waits_of(Dependency(job=A, index=3, type=type_))
    assert waits == Waits(children=((A, 3),))
    assert judged(waits, 0, children={(A, 3): Status.RUNNING}) is Verdict.WAIT
    assert judged(waits, 0, children={(A, 3): Status.SUCCEEDED}) is Verdict.READY
    assert judged(waits, 0, children={(A, 3): Status.FAILED}) is Verdict.FAIL


def test_in_a_sequential_array_each_child_waits_for_the_one_before_it() -> None:
    waits = waits_of(Dependency(type=SEQUENTIAL))
    assert waits == Waits(sequential=True)
    assert judged(waits, 0) is Verdict.READY
    assert judged(waits, 2, own={1: Status.RUNNABLE}) is Verdict.WAIT
    assert judged(waits, 2, own={1: Status.SUCCEEDED}) is Verdict.READY
    assert judged(waits, 2, own={1: Status.FAILED}) is Verdict.FAIL


def test_sequential_on_a_single_job_is_refused() -> None:
    with pytest.raises(InvalidField, match="SEQUENTIAL orders the children of an array"):
        waits_of(Dependency(type=SEQUENTIAL), indexes=None)


@pytest.mark.parametrize("indexes", [None, FIVE])
@pytest.mark.parametrize("job", [J, A])
def test_sequential_with_a_job_is_a_plain_dependency_on_it(indexes: IndexSet | None, job: JobId) -> None:
    assert waits_of(Dependency(job=job, type=SEQUENTIAL), indexes=indexes) == Waits(whole=(job,))


def test_n_to_n_waits_for_the_same_index_alone() -> None:
    waits = waits_of(Dependency(job=A, type=N_TO_N))
    assert waits == Waits(each=(A,))
    children = {(A, 2): Status.FAILED, (A, 3): Status.SUCCEEDED, (A, 4): Status.STARTING}
    assert judged(waits, 2, children=children) is Verdict.FAIL
    assert judged(waits, 3, children=children) is Verdict.READY
    assert judged(waits, 4, children=children) is Verdict.WAIT


def test_n_to_n_on_an_array_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(InvalidField, match=r"N_TO_N needs arrays of one size: 'A' has 5 children, this array 6"):
        waits_of(Dependency(job=A, type=N_TO_N), indexes=IndexSet.selection("0-5"))


def test_n_to_n_on_an_array_of_other_indexes_is_refused_with_both() -> None:
    with pytest.raises(InvalidField, match=r"the same indexes: 'A' has 0-4, this array 1-5"):
        waits_of(Dependency(job=A, type=N_TO_N), indexes=IndexSet.selection("1-5"))


def test_n_to_n_on_a_single_job_is_a_plain_dependency() -> None:
    assert waits_of(Dependency(job=J, type=N_TO_N)) == Waits(whole=(J,))


def test_n_to_n_from_a_single_job_is_a_plain_dependency() -> None:
    assert waits_of(Dependency(job=A, type=N_TO_N), indexes=None) == Waits(whole=(A,))


def test_plain_and_sequential_together_hold_the_first_child_for_the_plain_one() -> None:
    waits = waits_of(Dependency(job=J), Dependency(type=SEQUENTIAL))
    assert waits == Waits(whole=(J,), sequential=True)
    assert judged(waits, 0, whole={J: Status.RUNNING}) is Verdict.WAIT
    assert judged(waits, 0, whole={J: Status.SUCCEEDED}) is Verdict.READY
    assert judged(waits, 1, whole={J: Status.SUCCEEDED}, own={0: Status.RUNNING}) is Verdict.WAIT


def test_several_n_to_n_wait_for_the_same_index_of_each() -> None:
    waits = waits_of(Dependency(job=A, type=N_TO_N), Dependency(job=B, type=N_TO_N))
    assert waits == Waits(each=(A, B))
    children = {(A, 1): Status.SUCCEEDED, (B, 1): Status.RUNNING, (A, 2): Status.SUCCEEDED, (B, 2): Status.SUCCEEDED}
    assert judged(waits, 1, children=children) is Verdict.WAIT
    assert judged(waits, 2, children=children) is Verdict.READY


def test_a_dependency_that_has_ended_already_decides_at_once() -> None:
    assert judged(waits_of(Dependency(job=J)), whole={J: Status.SUCCEEDED}) is Verdict.READY
    assert judged(waits_of(Dependency(job=K)), whole={K: Status.FAILED}) is Verdict.FAIL


def test_the_command_line_refuses_what_has_failed_already() -> None:
    with pytest.raises(Conflict, match="Job 'K' has failed"):
        resolve([Dependency(job=K)], targets=TARGETS, indexes=None, accept_failed=False)
    half = {A: Target(job=A, status=Status.FAILED, indexes=FIVE)}
    # child by child, a failed array may still have what the others wait for
    assert resolve([Dependency(job=A, type=N_TO_N)], targets=half, indexes=FIVE, accept_failed=False) == Waits(each=(A,))


def test_an_unknown_job_is_not_found() -> None:
    with pytest.raises(NotFound, match="no job 'X'"):
        waits_of(Dependency(job=JobId("X")))


def test_an_index_that_the_array_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFound, match="Array 'A' has no index 5 to depend on: it has 0-4"):
        waits_of(Dependency(job=A, index=5))


def test_a_single_job_has_no_index_to_wait_for() -> None:
    with pytest.raises(NotFound, match="'J' is a single job and has no index 0"):
        waits_of(Dependency(job=J, index=0))


def test_more_than_twenty_dependencies_are_refused_in_the_words_of_aws() -> None:
    assert waits_of(*[Dependency(job=J)] * 20) == Waits(whole=(J,))
    with pytest.raises(UsageError) as refused:
        waits_of(*[Dependency(job=J)] * 21)
    assert str(refused.value) == "Error executing request, Exception : Job cannot have more than 20 dependencies"


def test_a_type_that_there_is_not_is_refused() -> None:
    for text in ("n_to_n", "N-TO-N", ""):
        with pytest.raises(InvalidField, match="is not a type: N_TO_N or SEQUENTIAL"):
            read_dependency("A", text)


# --- lists of them --------------------------------------------------------------------------------------------------------


def test_nothing_to_wait_for_is_ready() -> None:
    waits = waits_of()
    assert not waits
    assert judged(waits, 4) is Verdict.READY


def test_duplicates_collapse_and_the_order_stays() -> None:
    twice = [Dependency(job=B), Dependency(job=J), Dependency(job=B), Dependency(job=A, index=1), Dependency(job=A, index=1)]
    assert waits_of(*twice, *[Dependency(job=A, type=N_TO_N)] * 2) == Waits(whole=(B, J), children=((A, 1),), each=(A,))


def test_one_failure_decides_whatever_still_runs() -> None:
    waits = waits_of(Dependency(job=J), Dependency(job=K))
    assert judged(waits, whole={J: Status.RUNNING, K: Status.FAILED}) is Verdict.FAIL


def test_the_first_child_of_a_set_that_does_not_begin_at_0_has_none_before_it() -> None:
    waits = Waits(sequential=True)
    own: Callable[[int], Status] = {0: Status.RUNNING}.__getitem__
    common = {"status_of_whole": {}.__getitem__, "status_of_child": lambda job, index: Status.FAILED, "own_status": own}
    assert verdict(waits, position=0, index=7, **common) is Verdict.READY
    assert verdict(waits, position=1, index=9, **common) is Verdict.WAIT


@given(st.lists(st.sampled_from(Status), max_size=5), st.lists(st.sampled_from(Status), max_size=5), st.none() | st.sampled_from(Status))
def test_a_child_is_ready_exactly_when_all_it_waits_for_has_succeeded(whole: list[Status], each: list[Status], before: Status | None) -> None:
    waits = Waits(
        whole=tuple(JobId(f"w{number}") for number in range(len(whole))),
        each=tuple(JobId(f"e{number}") for number in range(len(each))),
        sequential=before is not None,
    )
    result = judged(
        waits,
        1,
        whole={JobId(f"w{number}"): status for number, status in enumerate(whole)},
        children={(JobId(f"e{number}"), 1): status for number, status in enumerate(each)},
        own={0: before} if before is not None else {},
    )
    everything = [*whole, *each, *([] if before is None else [before])]
    assert (result is Verdict.READY) == all(status is Status.SUCCEEDED for status in everything)
    assert (result is Verdict.FAIL) == (Status.FAILED in everything)


# --- what is shown --------------------------------------------------------------------------------------------------------


def test_a_child_shows_its_own_resolved_list() -> None:
    waits = Waits(whole=(J,), children=((B, 4),), each=(A,), sequential=True)
    assert describe_for_child(waits, own=OWN, index=3, before=2) == ("J", "B:4", "A:3", "OWN:2")
    assert describe_for_child(waits, own=OWN, index=0, before=None) == ("J", "B:4", "A:0")
    assert describe_for_child(Waits(), own=OWN, index=0, before=None) == ()


# --- how it is written ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("A", Dependency(job=A)),
        ("A:3", Dependency(job=A, index=3)),
        ("A:N_TO_N", Dependency(job=A, type=N_TO_N)),
        ("A:n_to_n", Dependency(job=A, type=N_TO_N)),
        ("array-20260127-100000:0", Dependency(job=JobId("array-20260127-100000"), index=0)),
    ],
)
def test_the_command_line_names_a_job_a_child_or_a_type(text: str, meant: Dependency) -> None:
    assert parse_depends_on(text) == meant


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no job"),
        (":3", "names no job"),
        (":N_TO_N", "names no job"),
        ("A:", "'' in 'A:' is neither an index nor a type"),
        ("A:x", "'x' in 'A:x' is neither"),
        ("A:-1", "'-1' in 'A:-1' is neither"),
        ("A:SEQUENTIAL", "--sequential"),
    ],
)
def test_another_text_is_refused_with_the_way_out(text: str, problem: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_depends_on(text)
    assert problem in str(refused.value)
    assert refused.value.field == "--depends-on"


def test_an_entry_of_depends_on_is_read() -> None:
    assert read_dependency("A", None) == Dependency(job=A)
    assert read_dependency("A:3", None) == Dependency(job=A, index=3)
    assert read_dependency("A", "N_TO_N") == Dependency(job=A, type=N_TO_N)
    assert read_dependency("A", "SEQUENTIAL") == Dependency(job=A, type=SEQUENTIAL)
    assert read_dependency(None, "SEQUENTIAL") == Dependency(type=SEQUENTIAL)


@pytest.mark.parametrize(("job_id", "type_"), [(None, None), (None, "N_TO_N"), ("", None), (":3", None), ("A:", None), ("A:x", None), ("A:٣", None)])
def test_an_entry_that_names_no_job_is_refused(job_id: str | None, type_: str | None) -> None:
    with pytest.raises(InvalidField, match="dependsOn"):
        read_dependency(job_id, type_)
    with pytest.raises(InvalidField, match="needs the job"):
        Dependency(index=3, type=SEQUENTIAL)
