from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.errors import InvalidField, UsageError
from spawn.domain.outcomes import Outcome
from spawn.domain.retries import Action, ExitRule, RetryStrategy, parse_retry_rule

INSTANCE = "i-a1b2c3d4e50000701"
RETRY, EXIT = Action.RETRY, Action.EXIT
NEXTFLOW = (ExitRule(action=RETRY, on_status_reason="Host EC2*"), ExitRule(action=EXIT, on_reason="*"))

outcomes = st.one_of(
    st.integers(1, 255).map(Outcome.exited),
    st.integers(1, 64).map(Outcome.killed),
    st.just(Outcome.refused("CannotStartContainerError: no such file")),
    st.just(Outcome.out_of_memory()),
    st.just(Outcome.lost(INSTANCE)),
    st.just(Outcome.completed(False, "bad", code=0)),
)
rules = st.builds(
    lambda condition, pattern, action: ExitRule(action=action, **{condition: pattern if condition == "on_exit_code" else pattern.replace("1", "Host")}),
    st.sampled_from(["on_exit_code", "on_reason", "on_status_reason"]),
    st.sampled_from(["1", "1*", "*", "137", "2*"]),
    st.sampled_from(Action),
)


def test_without_rules_every_failure_is_retried_while_attempts_remain() -> None:
    strategy = RetryStrategy(attempts=3)
    for outcome in (Outcome.exited(1), Outcome.killed(9), Outcome.refused("x"), Outcome.out_of_memory(), Outcome.lost(INSTANCE)):
        assert strategy.decide(outcome, made=1)
        assert strategy.decide(outcome, made=2)
        assert not strategy.decide(outcome, made=3)


def test_one_attempt_is_all_there_is_unless_more_are_asked_for() -> None:
    assert not RetryStrategy().decide(Outcome.exited(1), made=1)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.exited(0),
        Outcome.completed(True, None, code=1),
        Outcome.stopped("enough", signal=15),
        Outcome.timed_out(None, 9),
        Outcome.expired(INSTANCE, timedelta(hours=1)),
    ],
)
def test_a_success_a_termination_a_timeout_and_a_ttl_are_never_retried(outcome: Outcome) -> None:
    always = RetryStrategy(attempts=10, rules=(ExitRule(action=RETRY, on_reason="*"),))
    assert not always.decide(outcome, made=1)


@given(st.integers(1, 255), st.lists(rules, max_size=5), outcomes, st.integers(1, 300))
def test_there_are_never_more_attempts_than_allowed(attempts: int, given_rules: list[ExitRule], outcome: Outcome, made: int) -> None:
    strategy = RetryStrategy(attempts=attempts, rules=tuple(given_rules))
    if strategy.decide(outcome, made=made):
        assert made < attempts


@given(st.lists(rules, max_size=5), outcomes)
def test_the_first_rule_that_matches_decides_and_without_one_it_is_retried(given_rules: list[ExitRule], outcome: Outcome) -> None:
    matching = [rule.action for rule in given_rules if rule.matches(outcome)]
    expected = not matching or matching[0] is RETRY
    assert RetryStrategy(attempts=2, rules=tuple(given_rules)).decide(outcome, made=1) is expected


def test_the_recipe_of_nextflow_retries_lost_hosts_and_nothing_else() -> None:
    strategy = RetryStrategy(attempts=5, rules=NEXTFLOW)
    assert strategy.decide(Outcome.lost(INSTANCE), made=1)
    assert not strategy.decide(Outcome.exited(1), made=1)
    assert not strategy.decide(Outcome.out_of_memory(), made=1)


def test_a_star_alone_matches_also_what_is_absent() -> None:
    assert ExitRule(action=EXIT, on_reason="*").matches(Outcome.exited(1))
    assert ExitRule(action=EXIT, on_exit_code="*").matches(Outcome.lost(INSTANCE))
    assert not ExitRule(action=EXIT, on_exit_code="1*").matches(Outcome.lost(INSTANCE))
    assert not ExitRule(action=EXIT, on_reason="Out*").matches(Outcome.exited(1))


@pytest.mark.parametrize(
    ("pattern", "code", "matches"), [("1", 1, True), ("1", 13, False), ("1*", 13, True), ("1*", 1, True), ("137", 137, True), ("01", 1, False)]
)
def test_exit_codes_are_matched_as_decimal_text(pattern: str, code: int, matches: bool) -> None:
    assert ExitRule(action=RETRY, on_exit_code=pattern).matches(Outcome.exited(code)) is matches


def test_a_rule_matches_only_when_all_its_conditions_do() -> None:
    rule = ExitRule(action=RETRY, on_exit_code="137", on_reason="OutOfMemoryError*")
    assert rule.matches(Outcome.out_of_memory())
    assert not rule.matches(Outcome.killed(9))


def test_case_counts_in_patterns() -> None:
    assert not ExitRule(action=RETRY, on_reason="outofmemoryerror*").matches(Outcome.out_of_memory())


@pytest.mark.parametrize(
    ("condition", "pattern"),
    [
        ("on_exit_code", ""),
        ("on_exit_code", "x"),
        ("on_exit_code", "*1"),
        ("on_exit_code", "-1"),
        ("on_exit_code", "1**"),
        ("on_reason", ""),
        ("on_reason", "a*b"),
        ("on_reason", "*a"),
        ("on_reason", "a-b"),
        ("on_reason", "é"),
        ("on_reason", "a" * 513),
        ("on_status_reason", "Host EC2 (instance*"),
    ],
)
def test_a_pattern_that_aws_would_not_take_is_refused(condition: str, pattern: str) -> None:
    with pytest.raises(InvalidField, match="is not a pattern"):
        ExitRule(action=RETRY, **{condition: pattern})


def test_a_pattern_of_512_characters_is_taken() -> None:
    assert ExitRule(action=RETRY, on_reason="a" * 511 + "*").matches(Outcome.refused("a" * 600))


def test_a_rule_without_a_condition_is_refused() -> None:
    with pytest.raises(InvalidField, match="needs onExitCode"):
        ExitRule(action=RETRY)


@pytest.mark.parametrize("text", ["RETRY", "retry", "Retry"])
def test_actions_are_read_in_any_case_and_kept_in_lower_case(text: str) -> None:
    assert Action.parse(text).value == "retry"


def test_another_action_is_refused() -> None:
    with pytest.raises(InvalidField, match="'again' is not an action"):
        Action.parse("again")


def test_a_batch_strategy_needs_attempts_in_the_words_of_aws() -> None:
    with pytest.raises(UsageError) as refused:
        RetryStrategy.for_batch(attempts=None)
    assert str(refused.value) == "Error executing request, Exception : RetryAttempts must be provided with retry strategy"


@pytest.mark.parametrize("attempts", [0, 11, -1])
def test_a_batch_strategy_has_one_to_ten_attempts(attempts: int) -> None:
    with pytest.raises(InvalidField, match="between 1 and 10"):
        RetryStrategy.for_batch(attempts=attempts)
    assert RetryStrategy.for_batch(attempts=10).attempts == 10


def test_there_are_at_most_five_rules() -> None:
    rule = ExitRule(action=RETRY, on_exit_code="1")
    assert RetryStrategy(attempts=2, rules=(rule,) * 5).rules
    with pytest.raises(InvalidField, match="more than the 5 allowed"):
        RetryStrategy(attempts=2, rules=(rule,) * 6)


@pytest.mark.parametrize("attempts", [0, 256])
def test_no_strategy_has_less_than_one_or_more_than_255_attempts(attempts: int) -> None:
    with pytest.raises(InvalidField, match="between 1 and 255"):
        RetryStrategy(attempts=attempts)


def test_retries_at_launch_are_attempts_less_one() -> None:
    assert RetryStrategy.for_launch(retries=0) == RetryStrategy(attempts=1)
    assert RetryStrategy.for_launch(retries=254).attempts == 255
    for retries in (-1, 255):
        with pytest.raises(InvalidField, match="between 0 and 254"):
            RetryStrategy.for_launch(retries=retries)


def test_with_rules_at_launch_only_what_matches_is_retried() -> None:
    strategy = RetryStrategy.for_launch(retries=2, rules=(parse_retry_rule("oom"), parse_retry_rule("exit:75")))
    assert strategy.decide(Outcome.out_of_memory(), made=1)
    assert strategy.decide(Outcome.exited(75), made=1)
    assert not strategy.decide(Outcome.exited(1), made=1)
    assert not strategy.decide(Outcome.lost(INSTANCE), made=1)


def test_rules_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(InvalidField, match="add --retries"):
        RetryStrategy.for_launch(retries=0, rules=(parse_retry_rule("any"),))


def test_a_launch_takes_four_rules_because_the_fifth_ends_the_rest() -> None:
    rule = parse_retry_rule("exit:1")
    assert len(RetryStrategy.for_launch(retries=1, rules=(rule,) * 4).rules) == 5
    with pytest.raises(InvalidField, match="more than the 4 allowed"):
        RetryStrategy.for_launch(retries=1, rules=(rule,) * 5)


@pytest.mark.parametrize(
    ("text", "retried"),
    [
        ("exit:137", Outcome.killed(9)),
        ("exit:1*", Outcome.exited(13)),
        ("reason:OutOfMemory*", Outcome.out_of_memory()),
        ("reason:CannotStartContainerError: no such file", Outcome.refused("CannotStartContainerError: no such file")),
        ("status:Host EC2*", Outcome.lost(INSTANCE)),
        ("status:Task failed to start", Outcome.refused("CannotStartContainerError: no such file")),
        ("oom", Outcome.out_of_memory()),
        ("lost", Outcome.lost(INSTANCE)),
        ("any", Outcome.exited(1)),
        (" any ", Outcome.lost(INSTANCE)),
    ],
)
def test_a_rule_on_the_command_line_retries_what_it_names(text: str, retried: Outcome) -> None:
    rule = parse_retry_rule(text)
    assert rule.action is RETRY
    assert rule.matches(retried)


@pytest.mark.parametrize("text", ["", "foo", "137", "exit:", "exit:x", "code:1", "reason:", "reason:a*b", "OOM"])
def test_a_rule_that_is_none_is_refused_with_the_value(text: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_retry_rule(text)
    assert str(refused.value).startswith(f"--retry-on: '{text}'")
