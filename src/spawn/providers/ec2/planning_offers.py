"""The offers of a plan: every type in every zone where it can be had, in the order in which a launcher asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from math import ceil

from spawn.domain.costs import PUBLIC_ADDRESS
from spawn.domain.errors import Conflict, InvalidField
from spawn.domain.fleets import FleetOptions, Market, Offer
from spawn.providers.ec2.planning_looking import Region
from spawn.providers.ec2.quotas import quota_code
from spawn.providers.ec2.types import TypeFacts


def offers_of(options: FleetOptions, regions: Sequence[Region]) -> tuple[list[Offer], list[str]]:
    """Types in the order wanted; within a type the zones of all regions in turn. And sentences about what had to be left out.

    Refused (SpawnError) when nothing is left: no zone has a type, every market price is above the highest that is to be paid, or a quota
    does not hold a single instance.
    """
    market = Market.SPOT if options.spot else Market.ON_DEMAND
    offers = [offer for name in options.instance_types for offer in _in_turn(_of_type(region, name) for region in regions)]
    if not offers:
        raise _not_offered(options, regions)
    notes = [f"{name} is in no zone of this launch, and left out" for name in options.instance_types if not any(offer.type == name for offer in offers)]
    offers, too_big = _under_quota(options, regions, offers, market)
    offers, too_dear = _affordable(options, offers, market)
    return offers, [*notes, *too_big, *too_dear]


def check_types(options: FleetOptions, regions: Sequence[Region]) -> None:
    """Refuse types that cannot do what is asked of them: spot, hibernation."""
    for region in regions:
        for facts in region.types.values():
            if options.spot and not facts.spot:
                raise InvalidField("--instance-type", f"{facts.name} cannot be had on the spot market in {region.name}: leave out --spot, or name another type")
            if options.hibernate and not facts.hibernates:
                raise InvalidField("--on-complete", f"{facts.name} cannot hibernate: use stop, or another --instance-type")


def volume_gib(options: FleetOptions, regions: Sequence[Region]) -> int:
    """The size of root volumes: as asked, if image (and memory, to hibernate) fit into it; else as large as they need."""
    images = [image for region in regions for image in region.images.values()]
    largest = max(images, key=lambda image: image.root_gib)
    memory = max(ceil(facts.memory_mib / 1024) for region in regions for facts in region.types.values()) if options.hibernate else 0
    needed = largest.root_gib + memory
    if options.volume_gib is None:
        return needed
    if options.volume_gib < needed:
        what = f"the image {largest.id} needs {largest.root_gib} GiB" + (f", and memory {memory} GiB to hibernate" if memory else "")
        raise InvalidField("--volume-size", f"{options.volume_gib} GiB is too small: {what}")
    return options.volume_gib


def quotas_of(regions: Sequence[Region], offers: Sequence[Offer]) -> dict[str, float]:
    """What `Fleet.quotas` keeps: the quota of each region's first offer, in each market that was asked about."""
    first = {offer.region: offer.type for offer in reversed(offers)}
    return {f"{region.name}/{market.value}": vcpus for region in regions for (name, market), vcpus in region.quotas.items() if name == first.get(region.name)}


def _of_type(region: Region, name: str) -> list[Offer]:
    facts = region.types.get(name)
    return [] if facts is None else [_offer(region, facts, number) for number, place in enumerate(region.places) if place.zone in region.zones.get(name, ())]


def _offer(region: Region, facts: TypeFacts, number: int) -> Offer:
    place = region.places[number]
    architecture = next(each for each in facts.architectures if each in region.images)
    image = region.images[architecture]
    return Offer(
        region=region.name,
        zone=place.zone,
        subnet=place.subnet,
        security_groups=tuple(group for group, vpc in region.groups.items() if vpc == place.vpc),
        type=facts.name,
        vcpus=facts.vcpus,
        memory_mib=facts.memory_mib,
        architecture=architecture,
        ami=image.id,
        root_device=image.root_device,
        on_demand=region.on_demand.get(facts.name),
        spot=region.spot.get((facts.name, place.zone)),
        address_usd=PUBLIC_ADDRESS.usd if place.public else 0.0,
    )


def _in_turn(lists: Iterable[list[Offer]]) -> list[Offer]:
    return [offer for turn in zip_longest(*lists) for offer in turn if offer is not None]


def _not_offered(options: FleetOptions, regions: Sequence[Region]) -> InvalidField:
    zones = ", ".join(sorted({place.zone for region in regions for place in region.places}))
    name = options.instance_types[0]
    having = ", ".join(sorted({zone for region in regions for zone in region.zones.get(name, ())})) or "no zone at all"
    return InvalidField("--instance-type", f"{name} is not in {zones}: {having} has it; name subnets there with --subnet-id, or another type")


def _under_quota(options: FleetOptions, regions: Sequence[Region], offers: list[Offer], market: Market) -> tuple[list[Offer], list[str]]:
    """Without the types that a region's quota does not hold one of; with `--on-demand-fallback` either market will do."""
    markets = [market, Market.ON_DEMAND] if options.on_demand_fallback else [market]
    known = {region.name: region.quotas for region in regions}
    fitting = [offer for offer in offers if any(known[offer.region].get((offer.type, each), offer.vcpus) >= offer.vcpus for each in markets)]
    out = dict.fromkeys((offer.type, offer.region) for offer in offers if offer not in fitting)
    if fitting:
        return fitting, [f"{name} is left out in {region}: the vCPU quota does not hold one" for name, region in out]
    first = offers[0]
    code = quota_code(first.type.partition(".")[0], market)
    vcpus, url = known[first.region][first.type, market], f"https://{first.region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/{code}"
    raise Conflict(
        f"the quota for {market.value} instances like {first.type} in {first.region} is {vcpus:g} vCPUs, and one needs {first.vcpus}: "
        f"ask for more at {url}, or use another type or region"
    )


def _affordable(options: FleetOptions, offers: list[Offer], market: Market) -> tuple[list[Offer], list[str]]:
    """Without the zones where spot costs more than is to be paid; a zone whose price is not known stays."""
    highest = options.spot_max_price
    if highest is None or market is not Market.SPOT:
        return offers, []
    affordable = [offer for offer in offers if offer.spot is None or offer.spot.usd <= highest]
    dearer = [offer for offer in offers if offer not in affordable]
    if affordable:
        out = ", ".join(dict.fromkeys(f"{offer.type} in {offer.zone}" for offer in dearer))
        return affordable, [f"spot costs more than ${highest:g} an hour for {out}: left out"] if out else []
    cheapest = min(dearer, key=lambda offer: offer.spot.usd if offer.spot else 0.0)
    market_price = f"spot instances cost ${cheapest.spot.usd if cheapest.spot else 0:g} an hour or more ({cheapest.type} in {cheapest.zone})"
    if options.on_demand_fallback:
        return offers, [f"--spot-max-price {highest:g} is below the market: {market_price}, so that all will be on-demand"]
    raise InvalidField(
        "--spot-max-price", f"${highest:g} an hour is below the market: {market_price}; raise it, or leave it out and pay at most the on-demand price"
    )
