"""`spawn extend`: let instances live longer."""

from __future__ import annotations

import time

import click

from spawn.cli import options, values
from spawn.cli.changing import carry_out
from spawn.cli.confirming import EXIT_DECLINED
from spawn.cli.render import talk
from spawn.cli.render.money import dollars, span
from spawn.cli.render.terminal import printable
from spawn.cli.targets import Target, find
from spawn.cli.verbs import Verb
from spawn.client import cloud, fleets
from spawn.client.client import Client
from spawn.client.objects import Change
from spawn.domain.errors import SpawnError, UsageError

_LOOK_EVERY_S = 2.0
_UNCONFIRMED = 1

EXAMPLES = """\
spawn extend my-array 2h               they end two hours from now
spawn extend my-array:3-5 30m          only these
spawn extend my-array-3 1d --dry-run"""


@click.command(cls=Verb, examples=EXAMPLES)
@options.array_argument
@click.argument("duration", type=values.DURATION)
@click.option("--timeout", type=values.DURATION, default="60s", help="On EC2: how long instances have to say that they end later (default: 60s).")
@click.option("--confirm-above", type=values.DOLLARS, default="5", help="On EC2: ask before what may cost more (default: 5 dollars).")
@click.option("-y", "--yes", is_flag=True, help="On EC2: do not ask; needed above --confirm-above when there is no terminal to ask on.")
@options.dry_run_option
@options.output_options
def command(array: str, duration: float, timeout: float, confirm_above: float, yes: bool, dry_run: bool, output_format: str, quiet: bool) -> int:
    """Let instances end DURATION from now, whatever their TTL was. Exits with 5 when there was none to extend.

    Each instance on EC2 is asked whether it took the new end; when one does not say so in time, the exit code is 1.
    """
    client, target = find(array)
    if target.array.on_ec2 and not (dry_run or yes):
        would = client.extend(target.array.array_id, indexes=target.indexes, ttl_s=duration, dry_run=True)
        _consent(client, target, would, duration, confirm_above)
    changed: list[Change] = []

    def extend(dry: bool) -> Change:
        changed.append(client.extend(target.array.array_id, indexes=target.indexes, ttl_s=duration, dry_run=dry))
        return changed[-1]

    code = carry_out(
        target,
        extend,
        done="extended",
        output=options.output_of(output_format, quiet),
        dry_run=dry_run,
        question=None,
        yes=True,
        # who extends relies on it: an instance that was not extended ends when nobody expects it
        is_conflict=lambda _target, _change: True,
        why_nothing="no instance of it is alive, so there is nothing to extend",
    )
    return code if code or dry_run or not target.array.on_ec2 else _confirm(client, target, changed[-1], timeout)


def _consent(client: Client, target: Target, change: Change, duration: float, confirm_above: float) -> None:
    """A yes for living on that may cost more than the user takes for granted; UsageError when there is nobody to ask."""
    cost = next(iter(cloud.costs(client, arrays=[target.array.array_id])), None)
    if cost is None or not change.count:
        return
    instances = min(change.count, max(1, cost.running))
    hourly = max((price.usd for price in cost.prices), default=0.0) + ((cost.volume_usd + cost.address_usd) / cost.hours if cost.hours else 0.0)
    usd = instances * hourly * duration / 3600
    if usd <= confirm_above:
        return
    what = f"{instances} instance{'' if instances == 1 else 's'} for {span(duration / 3600)} may cost up to ~{dollars(usd)}"
    answer = talk.confirm(f"{what}. Extend?")
    if answer is None:
        raise UsageError(f"{what}, and only what costs at most {dollars(confirm_above)} (--confirm-above) is done unasked: add --yes")
    if not answer:
        talk.say("Nothing was changed.")
        raise click.exceptions.Exit(EXIT_DECLINED)


def _all_stopped(found: Change) -> bool:
    """Whether nobody is there who could confirm anything before somebody starts it."""
    return bool(found.skipped) and not found.count and all("is stopped" in skipped.reason for skipped in found.skipped)


def _confirm(client: Client, target: Target, change: Change, timeout_s: float) -> int:
    """Wait until every instance says itself that it ends when it is to, and say which do not."""
    talk.progress("the new end is written down; waiting for the instances to say that they took it")
    until = time.monotonic() + timeout_s
    while True:
        try:
            found = fleets.ends(client, target.array.array_id, indexes=change.indexes, within_s=max(1.0, until - time.monotonic()))
        except SpawnError as error:
            talk.warn(f"the new end is written down, and whether the instances took it could not be seen: {error}")
            return _UNCONFIRMED
        left = until - time.monotonic()
        if found.count >= change.count or left <= 0 or _all_stopped(found):
            break
        time.sleep(min(_LOOK_EVERY_S, left))
    talk.say(f"{target.array.array_id}: {found.count} of {change.count} confirmed by their instances")
    if found.count >= change.count:
        return 0
    for skipped in found.skipped:
        talk.warn(f"not confirmed{f': {skipped.indexes}' if skipped.indexes else ''}: {printable(skipped.reason)}")
    return _UNCONFIRMED
