from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.errors import InvalidField, UsageError
from spawn.domain.instants import Instant
from spawn.domain.listing import (
    FilterName,
    JobListing,
    Listed,
    Scope,
    check_describe,
    child_properties,
    parent_properties,
    read_filter,
    read_listing,
)
from spawn.domain.states import Status

JOB = Listed(
    name="Align-Reads",
    status=Status.SUCCEEDED,
    created_at=Instant(1000),
    definition_arn="arn:aws:batch:us-east-1:123456789012:job-definition/align:3",
    share_identifier="halves",
)


def listing(scope: Scope = Scope.QUEUE, **members: object) -> JobListing:
    return read_listing({scope: "x"}, **{"status": None, **members})


def passes(name: str, *values: str) -> bool:
    return read_filter(name, values).passes(JOB)


# --- where to look --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "targets", [{}, {Scope.QUEUE: None}, {Scope.QUEUE: ""}, {Scope.QUEUE: "q", Scope.ARRAY: "a"}, {Scope.ARRAY: "a", Scope.MULTI_NODE: "m"}]
)
def test_exactly_one_place_to_look_is_asked_for(targets: dict[Scope, str | None]) -> None:
    with pytest.raises(UsageError, match="Exactly one of jobQueue, arrayJobId and multiNodeJobId"):
        read_listing(targets, status=None)


def test_the_place_that_was_given_is_taken() -> None:
    asked = read_listing({Scope.QUEUE: None, Scope.ARRAY: "a"}, status="FAILED")
    assert (asked.scope, asked.target) == (Scope.ARRAY, "a")


# --- which jobs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", Scope)
def test_without_a_status_and_a_filter_only_running_jobs_are_listed(scope: Scope) -> None:
    assert listing(scope).takes(replace(JOB, status=Status.RUNNING))
    assert not listing(scope).takes(JOB)


@pytest.mark.parametrize("status", Status)
def test_a_status_lists_the_jobs_that_have_it(status: Status) -> None:
    asked = listing(status=status.name)
    assert asked.takes(replace(JOB, status=status))
    assert [other for other in Status if asked.takes(replace(JOB, status=other))] == [status]


@pytest.mark.parametrize("text", ["running", "DONE", ""])
def test_a_status_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(InvalidField, match="jobStatus"):
        listing(status=text)


@pytest.mark.parametrize(("value", "fits"), [("align-reads", True), ("ALIGN-READS", True), ("align", False), ("ALI*", True), ("*", True), ("reads*", False)])
def test_job_names_are_compared_in_any_case(value: str, fits: bool) -> None:
    assert passes("JOB_NAME", value) is fits


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("align", True),
        ("Align", False),
        ("al*", True),
        ("align:3", False),
        ("arn:aws:batch:us-east-1:123456789012:job-definition/align:3", True),
        ("arn:aws:batch:us-east-1:123456789012:job-definition/align:4", False),
        ("arn:aws:batch:us-east-1:123456789012:job-definition/al*", False),
    ],
)
def test_definitions_are_compared_by_name_of_any_revision_or_by_exact_arn(value: str, fits: bool) -> None:
    assert passes("JOB_DEFINITION", value) is fits


def test_times_are_compared_strictly() -> None:
    assert passes("BEFORE_CREATED_AT", "1001")
    assert not passes("BEFORE_CREATED_AT", "1000")
    assert passes("AFTER_CREATED_AT", "999")
    assert not passes("AFTER_CREATED_AT", "1000")


def test_shares_are_compared_exactly() -> None:
    assert passes("SHARE_IDENTIFIER", "halves")
    assert not passes("SHARE_IDENTIFIER", "half*")


def test_any_of_several_values_will_do() -> None:
    assert passes("JOB_NAME", "other", "align-reads")


@pytest.mark.parametrize("name", ["job_name", "NAME", ""])
def test_filter_names_are_case_sensitive(name: str) -> None:
    with pytest.raises(InvalidField, match="is not a filter"):
        read_filter(name, ["x"])


@pytest.mark.parametrize(("name", "values"), [("JOB_NAME", []), ("BEFORE_CREATED_AT", ["x"]), ("AFTER_CREATED_AT", ["-1"]), ("AFTER_CREATED_AT", ["9" * 99])])
def test_filter_values_that_are_none_are_refused(name: str, values: list[str]) -> None:
    with pytest.raises(InvalidField, match="filters"):
        read_filter(name, values)


def test_only_one_filter_is_used_at_a_time() -> None:
    with pytest.raises(InvalidField, match="2 filters"):
        listing(filters=[read_filter("JOB_NAME", ["a"])] * 2)


@pytest.mark.parametrize("name", [name.value for name in FilterName if name is not FilterName.SHARE_IDENTIFIER])
def test_with_a_filter_the_status_counts_for_nothing(name: str) -> None:
    value = "9999" if name.startswith("BEFORE") else "0" if name.startswith("AFTER") else "al*"
    for status in (None, "FAILED"):
        assert listing(filters=[read_filter(name, [value])], status=status).takes(JOB)


def test_a_share_is_combined_with_the_status() -> None:
    share = read_filter("SHARE_IDENTIFIER", ["halves"])
    assert listing(filters=[share]).takes(JOB)
    assert listing(filters=[share], status="SUCCEEDED").takes(JOB)
    assert not listing(filters=[share], status="FAILED").takes(JOB)


def test_filters_do_not_apply_to_the_children_of_an_array() -> None:
    asked = listing(Scope.ARRAY, filters=[read_filter("JOB_NAME", ["other"])])
    assert asked.takes(replace(JOB, status=Status.RUNNING))
    assert not asked.takes(JOB)


# --- how many -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "page", "filtered"), [(None, 1000, 100), (1, 1, 1), (100, 100, 100), (1000, 1000, 100), (5000, 1000, 100)])
def test_a_page_has_at_most_a_thousand_jobs_and_a_filtered_one_a_hundred(asked: int | None, page: int, filtered: int) -> None:
    assert listing(max_results=asked).page == page
    by_name = listing(max_results=asked, filters=[read_filter("JOB_NAME", ["a"])])
    assert by_name.page == filtered


@pytest.mark.parametrize("asked", [0, -1])
def test_a_page_of_nothing_is_refused(asked: int) -> None:
    with pytest.raises(InvalidField, match="maxResults"):
        listing(max_results=asked)


def test_more_than_a_hundred_jobs_are_not_described_at_once_in_the_words_of_aws() -> None:
    check_describe(["x"] * 100)
    check_describe([])
    with pytest.raises(UsageError) as refused:
        check_describe(["x"] * 101)
    assert str(refused.value) == "Error executing request, Exception : Maximum number of jobs supported is  100 ."


# --- arrays ---------------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(Status), st.integers(0, 10_000)))
def test_a_parent_shows_all_seven_counts_and_they_add_up_to_its_size(counts: dict[Status, int]) -> None:
    shown = parent_properties(counts, updated_at=Instant(5))
    summary = shown["statusSummary"]
    assert isinstance(summary, dict)
    assert list(summary) == ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"]
    assert sum(summary.values()) == shown["size"]
    assert shown["statusSummaryLastUpdatedAt"] == 5


def test_a_child_shows_its_index() -> None:
    assert child_properties(3, listed=True) == {"index": 3}
    assert child_properties(3, listed=False) == {"index": 3, "statusSummary": {}}
