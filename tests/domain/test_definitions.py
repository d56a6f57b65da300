from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.definitions import (
    DEPRECATED_KEY,
    Container,
    DefinitionReference,
    DefinitionStatus,
    JobDefinition,
    Overrides,
    Requirements,
    ResourceType,
    check_deregister,
    find_definition,
    is_gone,
    merge,
    next_revision,
    substitute,
)
from spawn.domain.errors import Conflict, InvalidField, NotFound, UsageError
from spawn.domain.instants import Instant, later
from spawn.domain.retries import RetryStrategy

VCPU, MEMORY, GPU = ResourceType.VCPU, ResourceType.MEMORY, ResourceType.GPU
ARN = "arn:aws:batch:us-east-1:123456789012:job-definition/align"


def definition(revision: int = 1, *, name: str = "align", **members: object) -> JobDefinition:
    return JobDefinition(name=name, revision=revision, **{"container": Container(command=("align",)), **members})


THEN = Instant(1_000)
ONE, TWO, THREE = definition(1), definition(2), definition(3).deregistered(THEN)


def found(text: str, *, now: Instant = THEN) -> JobDefinition:
    return find_definition([ONE, TWO, THREE, definition(9, name="other")], DefinitionReference.parse(text), now=now)


# --- revisions ------------------------------------------------------------------------------------------------------------


def test_revisions_count_from_1_and_never_restart() -> None:
    assert next_revision([]) == 1
    assert next_revision([1, 2, 3]) == 4
    assert next_revision([7]) == 8


@given(st.lists(st.integers(0, 5), max_size=30))
def test_whatever_is_deregistered_in_between_no_number_is_given_twice(deregistered: list[int]) -> None:
    shelf: dict[int, JobDefinition] = {}
    for earlier in deregistered:
        revision = next_revision(shelf)
        assert revision not in shelf
        assert revision == len(shelf) + 1
        shelf[revision] = definition(revision)
        if earlier in shelf:
            shelf[earlier] = shelf[earlier].deregistered(THEN)


def test_a_deregistered_revision_is_inactive_and_keeps_its_number() -> None:
    assert THREE.status is DefinitionStatus.INACTIVE
    assert THREE.reference == "align:3"
    assert THREE.deregistered(later(THEN, timedelta(days=1))) == THREE


def test_a_deregistered_revision_is_gone_after_180_days() -> None:
    almost = later(THEN, timedelta(days=180) - timedelta(milliseconds=1))
    assert not is_gone(THREE, almost)
    assert is_gone(THREE, later(THEN, timedelta(days=180)))
    assert not is_gone(ONE, later(THEN, timedelta(days=9999)))
    with pytest.raises(Conflict):
        found("align:3", now=almost)
    with pytest.raises(NotFound):
        found("align:3", now=later(THEN, timedelta(days=180)))


@pytest.mark.parametrize(("text", "revision"), [("align", 2), ("align:1", 1), ("align:2", 2), (ARN, 2), (f"{ARN}:1", 1)])
def test_a_name_means_the_latest_active_revision(text: str, revision: int) -> None:
    assert found(text).revision == revision


def test_arns_of_other_partitions_are_read() -> None:
    parsed = DefinitionReference.parse("arn:aws-us-gov:batch:us-gov-west-1:123456789012:job-definition/align:12")
    assert parsed == DefinitionReference(name="align", revision=12)
    assert str(parsed) == "align:12"
    assert str(DefinitionReference.parse("align")) == "align"


def test_an_inactive_revision_cannot_be_used() -> None:
    with pytest.raises(Conflict) as refused:
        found("align:3")
    assert str(refused.value) == "JobDefinition align:3 is not in ACTIVE status, but INACTIVE: register a new revision"


@pytest.mark.parametrize("definitions", [[], [THREE]])
def test_a_name_without_an_active_revision_is_refused_in_the_words_of_aws(definitions: list[JobDefinition]) -> None:
    with pytest.raises(NotFound) as refused:
        find_definition(definitions, DefinitionReference.parse("align"), now=THEN)
    assert str(refused.value) == "JobDefinition name align does not exist or is not in ACTIVE status"


@pytest.mark.parametrize("text", ["align:7", "Align:1"])
def test_an_unknown_revision_is_refused_in_the_words_of_aws(text: str) -> None:
    with pytest.raises(NotFound) as refused:
        found(text)
    assert str(refused.value) == f"JobDefinition {text} not found."


@pytest.mark.parametrize("text", ["", "a b", "align:", "align:latest", "align:-1", "arn:aws:batch:us-east-1:1:job-queue/q", "a" * 129])
def test_a_reference_that_is_none_is_refused_in_the_words_of_aws(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        DefinitionReference.parse(text)
    assert str(refused.value) == f"Provided name {text} is not supported pattern[a-zA-Z_0-9-]{{1,128}}"


def test_deregistering_needs_a_revision() -> None:
    assert check_deregister(DefinitionReference.parse("align:3")) == 3
    with pytest.raises(InvalidField, match="write align:REVISION"):
        check_deregister(DefinitionReference.parse("align"))


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a" * 129])
def test_a_name_that_aws_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(InvalidField, match="jobDefinitionName"):
        definition(name=name)


def test_a_revision_below_1_cannot_be_written() -> None:
    with pytest.raises(InvalidField, match="count from 1"):
        definition(0)


# --- parameters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("Ref::in", "reads"),
        ("--input=Ref::in", "--input=reads"),
        ("s3://b/Ref::in/Ref::in_2.gz", "s3://b/reads/mates.gz"),
        ("Ref::in_2", "mates"),
        ("Ref::nf-token", "t"),
        ("Ref::a-b", "dash"),
        ("Ref::a-c", "letter-c"),
        ("Ref::loop", "Ref::in"),
        ("Ref::", "Ref::"),
        ("Ref:: in", "Ref:: in"),
        ("ref::in", "ref::in"),
        ("plain", "plain"),
    ],
)
def test_references_are_replaced_also_inside_a_word_and_the_longest_name_wins(word: str, becomes: str) -> None:
    parameters = {"in": "reads", "in_2": "mates", "nf-token": "t", "a": "letter", "a-b": "dash", "loop": "Ref::in"}
    assert substitute(["run", word], parameters) == ("run", becomes)


@pytest.mark.parametrize("word", ["Ref::job_id", "--id=Ref::job_id", "x/Ref::job_id/y"])
def test_a_reference_without_a_parameter_is_refused_in_the_words_of_aws(word: str) -> None:
    for parameters in ({}, {"job": "1"}, {"id": "1"}):
        with pytest.raises(UsageError) as refused:
            substitute([word], parameters)
        assert str(refused.value) == "Unable to substitute value. No parameter found for reference job_id"


@given(st.lists(st.text(max_size=10)), st.dictionaries(st.text(min_size=1, max_size=4), st.text(max_size=4)))
def test_a_command_without_references_is_left_as_it_is(command: list[str], parameters: dict[str, str]) -> None:
    command = [word.replace("Ref::", "") for word in command]
    if not any("Ref::" in word for word in command):
        assert substitute(command, parameters) == tuple(command)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,4}", fullmatch=True), st.text(max_size=8), min_size=1))
def test_every_parameter_can_be_referred_to(parameters: dict[str, str]) -> None:
    assert substitute([f"Ref::{name}" for name in parameters], parameters) == tuple(parameters.values())


# --- overrides ------------------------------------------------------------------------------------------------------------

BASE = definition(
    container=Container(
        command=("align", "Ref::in"),
        environment={"A": "1", "B": "2"},
        requirements=Requirements(amounts={VCPU: "1", MEMORY: "2048"}),
    ),
    parameters={"in": "default", "extra": "kept"},
    retry=RetryStrategy(attempts=3),
    timeout=timedelta(seconds=90),
)


def test_without_overrides_a_job_runs_its_definition() -> None:
    merged = merge(BASE, Overrides())
    assert merged.command == ("align", "default")
    assert merged.environment == {"A": "1", "B": "2"}
    assert (merged.requirements.cpus, merged.requirements.memory) == (1000, 2048)
    assert (merged.retry.attempts, merged.timeout) == (3, timedelta(seconds=90))
    assert merged.notes == ()


def test_a_command_replaces_and_environment_resources_and_parameters_merge() -> None:
    merged = merge(
        BASE,
        Overrides(
            command=("other", "Ref::in"),
            environment={"B": "two", "C": "3"},
            requirements=Requirements(amounts={MEMORY: "4096", GPU: "1"}),
            parameters={"in": "mine"},
        ),
    )
    assert merged.command == ("other", "mine")
    assert merged.environment == {"A": "1", "B": "two", "C": "3"}
    assert merged.requirements.amounts == {VCPU: "1", MEMORY: "4096", GPU: "1"}
    assert merged.parameters == {"in": "mine", "extra": "kept"}


def test_a_retry_strategy_and_a_timeout_replace() -> None:
    merged = merge(BASE, Overrides(retry=RetryStrategy(attempts=1), timeout=timedelta(seconds=60)))
    assert (merged.retry.attempts, merged.timeout) == (1, timedelta(seconds=60))


def test_a_definition_without_a_retry_strategy_means_one_attempt() -> None:
    merged = merge(definition(), Overrides())
    assert (merged.retry, merged.timeout) == (RetryStrategy(attempts=1), None)


names = st.sampled_from(["A", "B", "C", "D"])
variables = st.dictionaries(names, st.text(max_size=3))
amounts = st.dictionaries(st.sampled_from(ResourceType), st.integers(1, 9).map(str))


@st.composite
def requirements(draw: st.DrawFn) -> Requirements:
    wanted = draw(amounts)
    return Requirements(amounts=wanted, deprecated=frozenset(kind for kind in wanted if draw(st.booleans())))


@given(variables, variables, variables, variables)
def test_environment_and_parameters_go_by_name_and_the_submission_wins(
    base: dict[str, str], over: dict[str, str], parameters: dict[str, str], others: dict[str, str]
) -> None:
    merged = merge(definition(container=Container(environment=base), parameters=parameters), Overrides(environment=over, parameters=others))
    for merged_ones, first, second in ((merged.environment, base, over), (merged.parameters, parameters, others)):
        assert merged_ones.keys() == first.keys() | second.keys()
        assert all(value == second.get(name, first.get(name)) for name, value in merged_ones.items())


@given(requirements(), requirements())
def test_resources_go_by_type_and_only_a_deprecated_key_loses_to_a_current_one(base: Requirements, over: Requirements) -> None:
    merged = merge(definition(container=Container(requirements=base)), Overrides(requirements=over)).requirements
    for kind in ResourceType:
        loses = kind in over.deprecated and kind in base.amounts and kind not in base.deprecated
        winner = over if kind in over.amounts and not loses else base
        assert merged.amounts.get(kind) == winner.amounts.get(kind)
        assert (kind in merged.deprecated) == (kind in winner.deprecated)
        assert (kind in base.amounts or kind in over.amounts) == (kind in merged.amounts)


@given(requirements(), variables)
def test_overrides_that_say_nothing_change_nothing(base: Requirements, environment: dict[str, str]) -> None:
    merged = merge(definition(container=Container(command=("run",), environment=environment, requirements=base)), Overrides())
    assert (merged.command, merged.environment, merged.requirements, merged.notes) == (("run",), environment, base, ())


def test_a_deprecated_memory_does_not_override_a_requirement_and_says_so() -> None:
    merged = merge(BASE, Overrides(requirements=Requirements(amounts={MEMORY: "9"}, deprecated=frozenset({MEMORY}))))
    assert merged.requirements.memory == 2048
    assert merged.notes == (f"containerOverrides.memory: {DEPRECATED_KEY}",)


def test_a_deprecated_memory_overrides_a_deprecated_one() -> None:
    old = Requirements(amounts={MEMORY: "100"}, deprecated=frozenset({MEMORY}))
    new, lost = old.overridden(Requirements(amounts={MEMORY: "200"}, deprecated=frozenset({MEMORY})))
    assert (new.memory, new.deprecated, lost) == (200, {MEMORY}, ())
    newer, lost = new.overridden(Requirements(amounts={MEMORY: "300"}))
    assert (newer.memory, newer.deprecated, lost) == (300, frozenset(), ())


def test_an_empty_string_in_a_command_override_is_refused() -> None:
    with pytest.raises(InvalidField, match="empty string"):
        Overrides(command=("run", ""))


@pytest.mark.parametrize(
    ("kind", "amount"),
    [
        (VCPU, "0"),
        (VCPU, "x"),
        (MEMORY, "0"),
        (MEMORY, "1.5"),
        (MEMORY, "512M"),
        (MEMORY, ""),
        (MEMORY, "9999999999"),
        (MEMORY, "9" * 30),
        (GPU, "-1"),
        (GPU, "٣"),
    ],
)
def test_an_amount_that_cannot_be_had_is_refused(kind: ResourceType, amount: str) -> None:
    with pytest.raises(InvalidField, match=f"resourceRequirements.{kind.value}"):
        Requirements(amounts={kind: amount})


def test_nothing_stated_is_none() -> None:
    assert (Requirements().cpus, Requirements().memory) == (None, None)


def test_environment_values_are_not_shown_in_what_is_printed_for_programmers() -> None:
    assert "secret" not in repr(merge(definition(container=Container(environment={"A": "secret"})), Overrides(environment={"B": "secret"})))
