"""Plans: everything that a launch needs, looked up and checked before anything is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from spawn.domain.costs import Estimate, Layout, Price, estimate
from spawn.domain.errors import InvalidField
from spawn.domain.fleets import MAX_PER_CALL, Fleet, FleetOptions, Market, Offer, Plan
from spawn.domain.instants import Instant
from spawn.engine.fleets import Access, Wish
from spawn.providers.ec2.clients import Clients, Kind, classify, code_of, translate
from spawn.providers.ec2.iam import check_policy, check_profile
from spawn.providers.ec2.planning_checks import check_wish
from spawn.providers.ec2.planning_looking import Looking
from spawn.providers.ec2.planning_offers import check_types, offers_of, quotas_of, volume_gib
from spawn.providers.ec2.planning_rights import check_rights
from spawn.providers.ec2.policies import parse_policies
from spawn.providers.ec2.recent import Recent
from spawn.providers.ec2.storage import bucket_name, bucket_region, named_bucket_region
from spawn.providers.ec2.tags import ARRAY
from spawn.providers.ec2.zones import check_regions

_AT_ONCE: Final = 16
"""Calls that a plan has under way at the same time."""

_PASSED: Final = "DryRunOperation"
_LATER: Final = frozenset({Kind.THROTTLED, Kind.OVER_QUOTA, Kind.NO_CAPACITY, Kind.NOT_YET, Kind.UNCLEAR})


def plan(wish: Wish, access: Access, at: Instant) -> Plan:
    """Look up all that a launch needs and check it; raise SpawnError with one sentence when it cannot be launched. Nothing is made."""
    return plan_with(Clients(access), wish, at)


def plan_with(clients: Clients, wish: Wish, at: Instant, recent: Recent | None = None) -> Plan:
    """The same with clients that exist already, and with what was looked up and tried with them a moment ago."""
    remarks, known = check_wish(wish), recent or Recent()
    options = wish.options
    regions = tuple(dict.fromkeys(options.regions)) or (clients.region,)
    check_regions(clients, regions)
    caller = clients.caller()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="plan") as pool:
        bucket = options.bucket or bucket_name(caller.account, regions[0])
        where = pool.submit(named_bucket_region if options.bucket else bucket_region, clients, bucket, regions[0])
        profile = pool.submit(check_profile, clients, options.instance_profile) if options.instance_profile else None
        arns = parse_policies(options.iam_policies).arns
        policies = [pool.submit(check_policy, clients, arn) for arn in arns]
        rights = None if options.instance_profile else pool.submit(_see_rights, clients, bool(arns), at, known)
        found = Looking(clients, options, pool, at, known).look(regions)
        notes = [note for region in found for note in region.notes]
        notes += [note for future in (profile, *policies) if future is not None and (note := future.result()) is not None]
        check_types(options, found)
        offers, left_out = offers_of(options, found)
        size = volume_gib(options, found)
        for tried in [pool.submit(_try, clients, wish, offer, at, known) for offer in _first_of_each_region(offers)]:
            tried.result()
        if rights is not None:
            rights.result()
        fleet = Fleet(
            options=options,
            account=caller.account,
            bucket=bucket,
            bucket_region=where.result() or regions[0],
            partition=caller.partition,
            offers=tuple(offers),
            quotas=quotas_of(found, offers),
            volume_gib=size,
            volume_usd_gib_month=max((region.volume.usd for region in found if region.volume is not None), default=0.0),
        )
    estimated = _estimate(wish, fleet)
    _check_budget(options, estimated)
    return Plan(fleet=fleet, estimate=estimated, notes=(*remarks, *left_out, *dict.fromkeys(notes), *_remarks(fleet, estimated)))


def _see_rights(clients: Clients, attaches: bool, at: Instant, recent: Recent) -> None:
    recent.answer((_see_rights.__qualname__, attaches), at, partial(check_rights, clients, attaches=attaches))


def _estimate(wish: Wish, fleet: Fleet) -> Estimate:
    options, wanted = fleet.options, [offer for offer in fleet.offers if offer.type == fleet.offers[0].type]
    market = Market.SPOT if options.spot else Market.ON_DEMAND
    regions = dict.fromkeys(offer.region for offer in fleet.offers)
    known = [fleet.quotas.get(f"{region}/{market.value}") for region in regions]
    on_demand = _dearest(offer.on_demand for offer in wanted)
    layout = Layout(
        children=wish.children,
        instances=wish.children if options.instances is None else options.instances,
        vcpus=wanted[0].vcpus,
        per_call=MAX_PER_CALL,
        ttl=wish.ttl,
        volume_gib=fleet.volume_gib,
        volume_usd_gib_month=fleet.volume_usd_gib_month,
        quota=None if None in known else sum(vcpus for vcpus in known if vcpus is not None),
        zones=tuple(dict.fromkeys(offer.zone for offer in fleet.offers)),
        address_usd=max(offer.address_usd for offer in wanted),
    )
    return estimate(layout, on_demand=on_demand, spot=_spot_price(options, wanted, on_demand), wants_spot=options.spot)


def _spot_price(options: FleetOptions, offers: Sequence[Offer], on_demand: Price | None) -> Price | None:
    """The dearest zone's; where the market is not known, what an hour costs at most: on-demand's price, or the highest that is to be paid."""
    price = _dearest(offer.spot for offer in offers)
    if price is not None or on_demand is None or not options.spot:
        return price
    usd = min(on_demand.usd, options.spot_max_price or on_demand.usd)
    return Price(usd=usd, source=f"{on_demand.source}, as the most that spot costs", as_of=on_demand.as_of)


def _dearest(prices: Iterable[Price | None]) -> Price | None:
    return max((price for price in prices if price is not None), key=lambda price: price.usd, default=None)


def _check_budget(options: FleetOptions, estimated: Estimate) -> None:
    if options.budget_usd is None:
        return
    if estimated.usd is None:
        raise InvalidField("--budget", "what this would cost is not known, so that no budget can be kept: leave it out, or use a type whose price is known")
    if estimated.usd > options.budget_usd:
        quote = estimated.quotes[0]
        cheaper = min(estimated.quotes, key=lambda each: each.usd)
        extras = " (volumes and public addresses included)" if quote.address_usd else ""
        hint = f"; {cheaper.label} would be {_dollars(cheaper.usd)} at most" if cheaper.usd <= options.budget_usd else ""
        raise InvalidField(
            "--budget",
            f"{_dollars(options.budget_usd)} is exceeded: {quote.instances} × {quote.hours:g} h at ${quote.price.usd:g} may cost "
            f"{_dollars(quote.usd)}{extras}{hint}: shorten --ttl, or raise it",
        )


def _dollars(usd: float) -> str:
    """In cents, and less than ten of them with what digits they have."""
    return f"${usd:,.2f}" if usd >= 0.1 else f"${usd:.4g}"


def _remarks(fleet: Fleet, estimated: Estimate) -> list[str]:
    remarks = []
    if estimated.waves > 1:
        at_once = int((estimated.quota or 0) // fleet.offers[0].vcpus)
        whole = f"{at_once} of {estimated.instances} instances"
        remarks.append(f"the quota of {estimated.quota:g} vCPUs holds {whole}: they run in {estimated.waves} waves")
    if not estimated.quotes:
        remarks.append("no price is known for this launch")
    elif fleet.options.spot and fleet.options.on_demand_fallback:
        on_demand = next((quote for quote in estimated.quotes if quote.label == "on-demand"), None)
        remarks += [f"if all of it had to be on-demand, it would cost ${on_demand.usd:,.2f} at most"] if on_demand else []
    dearest = _dearest(offer.on_demand for offer in fleet.offers)
    wanted = _dearest(offer.on_demand for offer in fleet.offers if offer.type == fleet.offers[0].type)
    if dearest is not None and wanted is not None and dearest.usd > wanted.usd:
        other = next(offer.type for offer in fleet.offers if offer.on_demand == dearest)
        remarks.append(f"the estimate is that of {fleet.offers[0].type}; {other}, which may be taken instead, costs up to ${dearest.usd:g} an hour")
    return remarks


def _first_of_each_region(offers: Sequence[Offer]) -> list[Offer]:
    return list({offer.region: offer for offer in reversed(offers)}.values())


def _try(clients: Clients, wish: Wish, offer: Offer, at: Instant, recent: Recent) -> None:
    """Ask EC2 whether it would launch this, without launching it; raise what it refuses. What may be otherwise in a minute is passed over.

    The same is not tried again within a minute: each try takes a token of the bucket that launches come from.
    """
    options = wish.options
    tags = [{"Key": key, "Value": value} for key, value in {ARRAY: "plan", "Name": f"{wish.name}-0"[:255], **wish.tags}.items()]
    asked: dict[str, object] = {
        "ImageId": offer.ami,
        "InstanceType": offer.type,
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": offer.subnet,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        "DryRun": True,
    }
    if offer.security_groups:
        asked["SecurityGroupIds"] = list(offer.security_groups)
    if options.key_name:
        asked["KeyName"] = options.key_name
    if options.instance_profile:
        asked["IamInstanceProfile"] = {"Name": options.instance_profile}
    if options.spot:
        asked["InstanceMarketOptions"] = {"MarketType": "spot"}
    recent.answer((_try.__qualname__, offer.region, repr(asked)), at, partial(_tried, clients, offer.region, asked))


def _tried(clients: Clients, region: str, asked: Mapping[str, object]) -> None:
    try:
        clients.client("ec2", region).run_instances(**asked)
    except (BotoCoreError, ClientError) as error:
        if code_of(error) != _PASSED and classify(error) not in _LATER:
            raise translate(error, action=f"launch instances in {region}") from error
