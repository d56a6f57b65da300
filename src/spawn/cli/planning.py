"""Launching on EC2, step by step: a TTL, a plan, a price, a yes, and only then instances."""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple, NoReturn

import click
from msgspec.structs import replace

from spawn.cli.confirming import EXIT_DECLINED
from spawn.cli.following import follow
from spawn.cli.render import launched, plans, talk
from spawn.cli.render.data import Output
from spawn.cli.render.money import dollars
from spawn.client import cloud
from spawn.client.client import Client
from spawn.client.estimates import Plan
from spawn.client.objects import Launched
from spawn.client.submission import Submission
from spawn.domain.durations import format_duration, parse_duration
from spawn.domain.errors import Unavailable, UsageError
from spawn.domain.fleets import DEFAULT_TTL

_SLOW: Final = "AWS is slow to answer; waiting (Ctrl-C ends the waiting: {})"


class Consent(NamedTuple):
    """What the user agreed to beforehand: everything (`--yes`), or what costs at most so many dollars."""

    yes: bool
    confirm_above: float


def launch_on_ec2(client: Client, submission: Submission, consent: Consent, output: Output) -> Launched | None:
    """Launch what has got its TTL, and print what is data of it; None after a dry run. The notes of the answer are those not said yet."""
    plan = agreed(client, submission, consent, output)
    if plan is None:
        return None
    array = submit(client, submission, output)
    if launched.is_for_people(output):
        _tell(client, array, plan)
    else:
        launched.record(array, output)
    return replace(array, notes=unsaid(array, plan))


def agreed(client: Client, submission: Submission, consent: Consent, output: Output) -> Plan | None:
    """The plan of a launch, its notes and its estimate told and its price agreed to; None after a dry run, whose plan is printed."""
    for_people = launched.is_for_people(output)
    if for_people:
        launched.begin(submission)
    plan = cloud.plan(client, submission, on_silence=partial(talk.progress, _SLOW.format("nothing has been launched")))
    for sentence in plan.notes:
        talk.note(sentence)
    if submission.dry_run:
        plans.show(plan, output)
        return None
    if for_people:
        plans.show_estimate(plan)
    _confirm_price(plan, consent)
    return plan


def submit(client: Client, submission: Submission, output: Output) -> Launched:
    """Launch what has been agreed to, and ask for what its output needs."""
    say_slow = partial(talk.progress, _SLOW.format("`spawn status` then says whether it was launched"))
    return client.submit(submission, children=launched.wants_children(output), silent_s=cloud.SLOW_ANSWER_S, on_silence=say_slow)


def unsaid(array: Launched, plan: Plan) -> list[str]:
    """What is to be noted of a launch that its plan did not note."""
    return [note for note in array.notes if note not in plan.notes]


def with_ttl(submission: Submission, consent: Consent) -> Submission:
    """The submission with an end for its instances: the one given, the one that the user types, or the default.

    `--no-ttl` is refused unless `--yes` stands beside it or there is somebody to be asked, later and with the price. End of input is no answer.
    """
    if submission.no_ttl:
        if not (consent.yes or submission.dry_run or talk.can_ask()):
            raise UsageError("--no-ttl lets instances run, and cost, until somebody ends them: add --yes to launch them so, or give --ttl")
        return submission
    if submission.ttl_s is not None:
        return submission
    default = format_duration(DEFAULT_TTL)
    typed = None if submission.dry_run or consent.yes else _ask_for_an_end(default)
    if typed is None:
        talk.note(f"no --ttl was given: the instances end after {default} at the latest")
    elif typed.lower() == "none":
        return replace(submission, no_ttl=True)
    return replace(submission, ttl_s=parse_duration(typed or default, field="--ttl").total_seconds())


def _ask_for_an_end(default: str) -> str | None:
    try:
        return talk.ask(f"When do the instances end at the latest? A duration, or none [{default}]")
    except EOFError:
        _launch_nothing()


def _launch_nothing() -> NoReturn:
    talk.say("Nothing was launched.")
    raise click.exceptions.Exit(EXIT_DECLINED) from None


def _confirm_price(plan: Plan, consent: Consent) -> None:
    """A yes for what may cost more than the user takes for granted, has no end, or is not known."""
    if consent.yes or (plan.ttl_s is not None and plan.usd is not None and plan.usd <= consent.confirm_above):
        return
    what = _what_it_costs(plan)
    answer = talk.confirm(f"{what[0].upper()}{what[1:]}. Launch?")
    if answer is None:
        limit = dollars(consent.confirm_above)
        raise UsageError(f"{what}, and only what costs at most {limit} (--confirm-above) is launched unasked: add --yes, or --dry-run to see the whole plan")
    if not answer:
        _launch_nothing()


def _what_it_costs(plan: Plan) -> str:
    if plan.usd_per_hour is None:
        return "what this may cost is not known"
    if plan.ttl_s is None:
        return f"without a TTL this costs ~{dollars(plan.usd_per_hour)} an hour until somebody ends it"
    return f"this may cost up to ~{dollars(plan.usd)}"


def _tell(client: Client, array: Launched, plan: Plan) -> None:
    """The story of the launch, for as long as it goes on by itself and somebody looks."""
    from spawn.cli.waiting import detached

    try:
        state = follow(client, array, plan.instances)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(detached([array.array_id])) from None
    except Unavailable as error:
        talk.warn(f"{array.array_id} is launched, and how far it is could not be seen ({error}): `spawn status {array.array_id}` says")
        return
    launched.finish_on_ec2(array, launched.first_members(client, array), state)
    plans.show_estimate(plan)
