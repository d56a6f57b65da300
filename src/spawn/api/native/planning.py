"""Launching on EC2: what it would take and cost, and the launch itself, from the same look at the account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from spawn.api.native.advising import advice
from spawn.api.native.references import References
from spawn.api.native.shapes import SCHEMA_VERSION
from spawn.domain.costs import Price, Quote
from spawn.domain.dependencies import Dependency
from spawn.domain.errors import ConfigurationError, InvalidField
from spawn.domain.fleets import ACCESS, Offer, Plan
from spawn.domain.indexes import IndexSet
from spawn.domain.queues import EC2, LOCAL
from spawn.engine import commands
from spawn.engine.fleets import Fleets, Wish
from spawn.engine.loop import Engine
from spawn.engine.ports import Records
from spawn.engine.submission import Submission, dependencies_of, fleet_options, lifetime_of, name_of

Json = dict[str, Any]

PROVIDERS: Final = (LOCAL, EC2)
"""Where a submission can be asked to run."""


def resolved_dependencies(submission: Submission, references: References) -> tuple[Dependency, ...]:
    """What a submission waits for, prefixes and names resolved to ids."""
    named = dependencies_of(submission)
    found = tuple(replace(d, job=references.job_id(d.job)) if d.job is not None else d for d in named)
    return found + commands.in_sequence(submission)


def check_provider(submission: Submission) -> None:
    """Refuse a provider that there is not."""
    if submission.provider not in PROVIDERS:
        raise InvalidField("--provider", f"'{submission.provider[:60]}' is not part of this version: use one of {', '.join(PROVIDERS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """Plans and launches on EC2. Its calls ask AWS: never in the engine's thread."""

    engine: Engine
    records: Records
    fleets: Fleets | None  #: None: this engine has no provider for EC2

    def plan(self, submission: Submission) -> Json:
        """The Plan of docs/api.md. All is checked as for a launch, and nothing is made."""
        check_provider(submission)
        if submission.provider != EC2:
            raise InvalidField("--provider", f"a plan is made for {EC2}: what runs on this machine costs nothing")
        depends_on = resolved_dependencies(submission, References(self.records))
        plan = self._looked_up(submission)
        asked = replace(submission, dry_run=True)
        done = self.engine.call(lambda state: commands.submit(state, asked, depends_on, fleet=plan.fleet))
        return plan_object(plan, submission, name=done.job.name, notes=(*plan.notes, *done.notes))

    def submit(self, submission: Submission, depends_on: tuple[Dependency, ...]) -> commands.Submitted:
        """Look, check, and let the engine take the job; the provider hears of its access before that."""
        plan = self._looked_up(submission)
        fleets = self._fleets()
        done = self.engine.call(
            lambda state: commands.submit(state, submission, depends_on, fleet=plan.fleet, admit=lambda job: fleets.admit(job, submission.access))
        )
        return replace(done, notes=(*plan.notes, *done.notes))

    def _fleets(self) -> Fleets:
        if self.fleets is None:
            raise ConfigurationError("this engine cannot launch on EC2: install spawn-arrays again, with boto3")
        return self.fleets

    def _looked_up(self, submission: Submission) -> Plan:
        check_access(submission.access)
        plan = self._fleets().plan(wish_of(submission), submission.access)
        _check_demand(submission, plan)
        return replace(plan, notes=(*plan.notes, *advice(submission)))


def check_access(access: Mapping[str, str]) -> None:
    """Refuse variables that have nothing to do with AWS."""
    if unknown := sorted(set(access) - set(ACCESS)):
        raise InvalidField("access", f"'{unknown[0][:60]}' is not one of {', '.join(ACCESS)}")


def wish_of(submission: Submission) -> Wish:
    """What a submission asks of EC2; raises UsageError when that cannot be meant."""
    work = (submission.script or "", *(submission.command or ()), *submission.env, *submission.env.values())
    return Wish(
        options=fleet_options(submission),
        name=name_of(submission),
        children=1 if submission.indexes is None else IndexSet.parse(submission.indexes)[0].size,
        ttl=lifetime_of(submission).ttl,
        tags=submission.tags,
        work_bytes=sum(len(text.encode(errors="surrogateescape")) for text in work),
    )


def _check_demand(submission: Submission, plan: Plan) -> None:
    """One run has to fit on an instance of every type that may be launched."""
    cpus, memory = submission.cpus or 0, submission.memory_mib or 0
    for offer in plan.fleet.offers:
        if cpus > offer.vcpus:
            raise InvalidField("--cpus", f"{cpus:g} is more than the {offer.vcpus} vCPUs of {offer.type}: name a larger --instance-type")
        if memory > offer.memory_mib:
            raise InvalidField("--memory", f"{memory} MiB is more than the {offer.memory_mib} MiB of {offer.type}: name a larger --instance-type")


def plan_object(plan: Plan, submission: Submission, *, name: str, notes: Iterable[str]) -> Json:
    """The Plan of docs/api.md."""
    fleet, estimate, options = plan.fleet, plan.estimate, plan.fleet.options
    ttl = lifetime_of(submission).ttl
    return {
        "schema_version": SCHEMA_VERSION,
        "provider": EC2,
        "name": name,
        "children": estimate.children,
        "instances": estimate.instances,
        "instance_types": list(options.instance_types),
        "spot": options.spot,
        "regions": list(dict.fromkeys(offer.region for offer in fleet.offers)),
        "zones": list(estimate.zones),
        "account": fleet.account,
        "bucket": fleet.bucket,
        "bucket_region": fleet.bucket_region,
        "ttl_s": None if ttl is None else ttl.total_seconds(),
        "volume_gib": fleet.volume_gib,
        "volume_usd_gib_month": fleet.volume_usd_gib_month,
        "run_calls": estimate.run_calls,
        "seconds": round(estimate.seconds, 1),
        "seconds_one_by_one": round(estimate.seconds_one_by_one, 1),
        "vcpus": estimate.vcpus,
        "quota": estimate.quota,
        "waves": estimate.waves,
        "usd": None if estimate.usd is None or ttl is None else round(estimate.usd, 6),
        "usd_per_hour": None if estimate.usd_per_hour is None else round(estimate.usd_per_hour, 6),
        "quotes": [_quote(quote) for quote in estimate.quotes],
        "offers": [_offer(offer) for offer in fleet.offers],
        "notes": list(notes),
    }


def _quote(quote: Quote) -> Json:
    return {
        "label": quote.label,
        "instances": quote.instances,
        "hours": round(quote.hours, 6),
        "usd": round(quote.usd, 6),
        "volume_usd": round(quote.volume_usd, 6),
        "address_usd": round(quote.address_usd, 6),
        "price": price_object(quote.price),
    }


def price_object(price: Price) -> Json:
    """A Price of docs/api.md."""
    return {"usd": price.usd, "source": price.source, "as_of": price.as_of}


def _offer(offer: Offer) -> Json:
    return {
        "region": offer.region,
        "zone": offer.zone,
        "type": offer.type,
        "vcpus": offer.vcpus,
        "memory_mib": offer.memory_mib,
        "architecture": offer.architecture,
        "ami": offer.ami,
        "on_demand": None if offer.on_demand is None else price_object(offer.on_demand),
        "spot": None if offer.spot is None else price_object(offer.spot),
    }
