from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from spawn.domain import submission_rules as rules
from spawn.domain.errors import UsageError


def text_of(check: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as refused:
        check()
    return str(refused.value)


# --- SubmitJob ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "0", "align-reads_2", "a" * 128])
def test_a_job_name_of_the_pattern_is_taken(name: str) -> None:
    rules.check_job_name(name)


@pytest.mark.parametrize("name", ["", "-a", "_a", "a.b", "a b", "é", "a\n", "a" * 129])
def test_another_job_name_is_refused_in_the_words_of_aws(name: str) -> None:
    assert text_of(lambda: rules.check_job_name(name)) == "Error executing request, Exception : Job name should match valid pattern"


def test_an_array_has_2_to_10000_children_in_batch() -> None:
    rules.check_array_size(2)
    rules.check_array_size(10_000)
    for size in (-1, 0, 1, 10_001):
        assert text_of(lambda size=size: rules.check_array_size(size)) == f"arrayProperties.size: {size} is not between 2 and 10000"


def test_a_job_of_more_than_30_kib_is_refused_in_the_words_of_aws() -> None:
    rules.check_job_payload(30 * 1024)
    assert text_of(lambda: rules.check_job_payload(47 * 1024)) == "Job size must be less than 30 KiB, got 47 KiB"
    assert text_of(lambda: rules.check_job_payload(30 * 1024 + 1)) == "Job size must be less than 30 KiB, got 31 KiB"


def test_a_definition_of_more_than_24_kib_is_refused() -> None:
    rules.check_definition_payload(24 * 1024)
    assert "24 KiB" in text_of(lambda: rules.check_definition_payload(24 * 1024 + 1))


def test_there_are_at_most_50_tags() -> None:
    rules.check_tags({})
    rules.check_tags({f"k{number}": "" for number in range(50)})
    assert "Member must have length less than or equal to 50" in text_of(lambda: rules.check_tags({f"k{number}": "" for number in range(51)}))


@pytest.mark.parametrize(("key", "value"), [("", "x"), ("k" * 129, ""), ("k", "v" * 257)])
def test_tags_outside_the_limits_are_refused(key: str, value: str) -> None:
    assert text_of(lambda: rules.check_tags({key: value})).startswith("tags: ")


def test_tags_at_the_limits_are_taken() -> None:
    rules.check_tags({"k" * 128: "v" * 256})


@pytest.mark.parametrize("name", ["AWS_BATCH", "AWS_BATCH_JOB_ID", "AWS_BATCHES", "", "A=B", "A\0"])
def test_variables_of_batch_and_names_that_are_none_are_refused(name: str) -> None:
    assert text_of(lambda: rules.check_environment(["A", name])).startswith("environment: ")


def test_other_variables_are_taken() -> None:
    rules.check_environment(["A", "AWS_REGION", "aws_batch_x", "with.dot"])


def test_a_timeout_is_at_least_a_minute() -> None:
    assert rules.check_timeout(60) == timedelta(seconds=60)
    for seconds in (59, 0, -1):
        assert text_of(lambda seconds=seconds: rules.check_timeout(seconds)) == f"timeout.attemptDurationSeconds: {seconds} is below 60"


def test_shares_and_priorities_need_a_fair_share_queue_in_the_words_of_aws() -> None:
    expected = "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy."
    assert text_of(lambda: rules.check_share("a", None, fair_share=False)) == expected
    assert text_of(lambda: rules.check_share(None, 1, fair_share=False)) == expected
    rules.check_share(None, None, fair_share=False)


def test_a_fair_share_queue_needs_a_share() -> None:
    rules.check_share("halves", None, fair_share=True)
    rules.check_share("a" * 255, 9999, fair_share=True)
    assert "needs an identifier" in text_of(lambda: rules.check_share(None, None, fair_share=True))
    for share in ("", "a-b", "a*", "a" * 256):
        assert "letters and digits" in text_of(lambda share=share: rules.check_share(share, None, fair_share=True))


def test_a_priority_is_0_to_9999() -> None:
    rules.check_priority(None)
    rules.check_priority(0)
    rules.check_priority(9999)
    for priority in (-1, 10_000):
        assert f"{priority} is not between 0 and 9999" in text_of(lambda priority=priority: rules.check_priority(priority))
        assert "9999" in text_of(lambda priority=priority: rules.check_share("a", priority, fair_share=True))


def test_a_priority_names_the_member_that_it_stands_in() -> None:
    assert text_of(lambda: rules.check_priority(-1, field="schedulingPriority")) == "schedulingPriority: -1 is not between 0 and 9999"


def test_a_queue_has_at_most_500_share_identifiers() -> None:
    others = [f"share{number}" for number in range(500)]
    rules.check_share_count("share499", others)
    rules.check_share_count("another", [*others[:499], None, *others[:499]])
    assert "500" in text_of(lambda: rules.check_share_count("another", others))


def test_the_identifiers_of_a_queue_are_read_no_further_than_need_be() -> None:
    def others() -> Iterator[str]:
        yield "first"
        raise AssertionError("read on")

    rules.check_share_count("first", others())


def test_a_job_takes_of_at_most_5_consumable_resources() -> None:
    rules.check_consumables(range(5))
    assert "6 resources" in text_of(lambda: rules.check_consumables(range(6)))


@pytest.mark.parametrize(
    ("wanted", "offered"),
    [([], ["EC2"]), (["EC2"], ["EC2"]), (["FARGATE"], ["FARGATE"]), (["EC2", "FARGATE"], ["FARGATE"]), (["FARGATE"], ["EC2", "FARGATE"])],
)
def test_a_capability_that_one_environment_has_is_enough(wanted: list[str], offered: list[str]) -> None:
    rules.check_capability(wanted, [frozenset({one}) for one in offered])


@pytest.mark.parametrize(("wanted", "offered", "named"), [([], "FARGATE", "EC2"), (["EC2"], "FARGATE", "EC2"), (["FARGATE"], "EC2", "FARGATE")])
def test_a_capability_that_no_environment_has_is_refused_in_the_words_of_aws(wanted: list[str], offered: str, named: str) -> None:
    expected = f"Job Queue is attached to Compute Environment that can not run Jobs with capability {named}."
    assert text_of(lambda: rules.check_capability(wanted, [frozenset({offered})])) == expected


def test_overrides_of_more_than_8192_characters_let_a_job_fail_in_the_words_of_aws() -> None:
    assert rules.why_doomed(overrides=8192, tags=50) is None
    assert rules.why_doomed(overrides=8193, tags=0) == "Container Overrides length must be at most 8192"


def test_more_than_50_tags_to_propagate_let_a_job_fail() -> None:
    assert "51" in (rules.why_doomed(overrides=0, tags=51) or "")


def test_a_reason_has_1_to_1024_characters() -> None:
    rules.check_reason("x" * 1024)
    assert "empty" in text_of(lambda: rules.check_reason(""))
    assert "1025 characters" in text_of(lambda: rules.check_reason("x" * 1025))


# --- spawn launch ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "my-array", "v1.2_x", "_a", ".hidden", "a" * 128, "007"])
def test_a_launch_name_has_letters_digits_and_three_signs(name: str) -> None:
    rules.check_launch_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a:3", "é", "a\n", ".", "..", "-a", "a" * 129])
def test_another_launch_name_is_refused_with_the_value(name: str) -> None:
    assert text_of(lambda: rules.check_launch_name(name)).startswith(f"--name: '{name}' is not a name")


@pytest.mark.parametrize("key", ["array:id", "spawn:x", "aws:x"])
def test_tags_that_spawn_or_aws_sets_are_reserved_at_launch(key: str) -> None:
    assert "is reserved" in text_of(lambda: rules.check_own_tags({key: "x"}))


@pytest.mark.parametrize(("key", "value"), [("", "v"), ("k" * 129, "v"), ("k", "v" * 257)])
def test_a_tag_that_no_service_would_take_is_refused_at_launch(key: str, value: str) -> None:
    assert text_of(lambda: rules.check_own_tags({key: value})).startswith("--tag: ")


def test_other_tags_are_taken_up_to_50() -> None:
    rules.check_own_tags({f"team:{number}": "x" for number in range(50)})
    assert "51 tags" in text_of(lambda: rules.check_own_tags({f"team:{number}": "x" for number in range(51)}))
