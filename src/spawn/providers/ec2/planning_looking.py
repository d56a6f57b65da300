"""What a region has for a launch: looked up in a few calls, at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from spawn.domain.costs import Price
from spawn.domain.errors import InvalidField, NotFound, SpawnError
from spawn.domain.fleets import FleetOptions, Market
from spawn.domain.instants import Instant
from spawn.providers.ec2 import images, prices, quotas, types, zones
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.images import Image
from spawn.providers.ec2.prices import VolumePrice
from spawn.providers.ec2.recent import Recent
from spawn.providers.ec2.types import TypeFacts
from spawn.providers.ec2.zones import Place

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region as it was found, all checks of it passed."""

    name: str
    types: Mapping[str, TypeFacts]  #: those of the launch that it has, in the order wanted
    zones: Mapping[str, set[str]]  #: the zones that have each type
    places: Sequence[Place]
    groups: Mapping[str, str]  #: the VPC of each security group of the launch
    images: Mapping[str, Image]  #: by architecture
    quotas: Mapping[tuple[str, Market], float]  #: vCPUs by type and market, where they could be looked up
    spot: Mapping[tuple[str, str], Price]  #: by type and zone
    on_demand: Mapping[str, Price]  #: by type
    volume: VolumePrice | None
    notes: Sequence[str] = field(default_factory=tuple)


class Looking:
    """Looks things up for one launch, several at a time."""

    def __init__(self, clients: Clients, options: FleetOptions, pool: ThreadPoolExecutor, at: Instant, recent: Recent) -> None:
        self._clients = clients
        self._options = options
        self._pool = pool
        self._at = at
        self._recent = recent

    def _recall(self, look_up: Callable[..., T], region: str, *asked: Any, priced: bool = False) -> T:
        """What a look-up answers, or did a moment ago; `priced`: it wants to know of which instant."""
        key = (look_up.__module__, look_up.__qualname__, region, repr(asked))
        return self._recent.answer(key, self._at, partial(look_up, self._clients, region, *asked, *((self._at,) if priced else ())))

    def look(self, regions: Sequence[str]) -> list[Region]:
        """Each of these regions; SpawnError with the first thing that is not as the launch needs it."""
        begun = [(region, self._begin(region)) for region in regions]
        known = {region: futures.types.result() for region, futures in begun}
        for name in self._options.instance_types:
            if not any(name in facts for facts in known.values()):
                raise types.unknown_type(self._clients, regions, name)
        chosen = {region: self._pool.submit(self._images, region, facts.values()) for region, facts in known.items()}
        quoted = {region: self._ask_quotas(region, facts.values()) for region, facts in known.items()}
        found = [self._finish(region, futures, known[region], chosen[region].result(), quoted[region]) for region, futures in begun]
        for group in self._options.security_groups:
            if not any(group in region.groups for region in found):
                raise NotFound(f"--security-group-id: {group} is not in {', '.join(regions)}: leave it out, or name one that is there")
        return found

    def _begin(self, region: str) -> _Begun:
        clients, options, submit = self._clients, self._options, self._pool.submit
        names = list(options.instance_types)
        return _Begun(
            types=submit(self._recall, types.types_in, region, names),
            zones=submit(self._recall, types.zones_with, region, names),
            places=submit(self._places, region),
            groups=submit(zones.groups_in, clients, region, options.security_groups) if options.security_groups else None,
            key=submit(zones.has_key, clients, region, options.key_name) if options.key_name else None,
            spot=submit(self._recall, prices.spot_prices, region, names, priced=True),
            on_demand=[(name, submit(self._recall, prices.listed_price, region, name, priced=True)) for name in names],
            volume=submit(self._recall, prices.listed_volume_price, region, priced=True),
        )

    def _places(self, region: str) -> list[Place]:
        if self._options.subnets:
            return self._recall(zones.named_subnets, region, self._options.subnets)
        return self._recall(zones.default_subnets, region)

    def _images(self, region: str, facts: Iterable[TypeFacts]) -> dict[str, Image]:
        """The image for each architecture that the types need; a type that does not fit is refused."""
        if self._options.ami is not None:
            image = self._recall(images.named_image, region, self._options.ami)
            for each in facts:
                if image.architecture not in each.architectures:
                    needs = " or ".join(each.architectures) or "another architecture"
                    raise InvalidField(
                        "--ami", f"{image.id} is for {image.architecture} and {each.name} needs {needs}: name an image and types of one architecture"
                    )
            return {image.architecture: image}
        for each in facts:
            if not each.architectures:
                raise InvalidField("--instance-type", f"{each.name} is neither x86_64 nor arm64, and nothing else is supported")
        wanted = dict.fromkeys(each.architectures[0] for each in facts)
        return {architecture: self._recall(images.latest_image, region, architecture) for architecture in wanted}

    def _ask_quotas(self, region: str, facts: Iterable[TypeFacts]) -> _Quotas:
        markets = [Market.SPOT, *([Market.ON_DEMAND] if self._options.on_demand_fallback else [])] if self._options.spot else [Market.ON_DEMAND]
        codes = {(each.name, market): code for each in facts for market in markets if (code := quotas.quota_code(each.family, market)) is not None}
        return _Quotas(codes=codes, asked={code: self._pool.submit(self._recall, quotas.vcpu_quota, region, code) for code in set(codes.values())})

    def _quotas(self, region: str, begun: _Quotas) -> tuple[dict[tuple[str, Market], float], list[str]]:
        found: dict[str, float] = {}
        notes: list[str] = []
        for code, future in begun.asked.items():
            try:
                found[code] = future.result()
            except SpawnError as error:
                notes = [f"the vCPU quota of {region} is not known, so that launching may meet it on the way ({error})"]
        return {key: found[code] for key, code in begun.codes.items() if code in found}, notes

    def _finish(self, region: str, begun: _Begun, facts: Mapping[str, TypeFacts], chosen: Mapping[str, Image], quoted: _Quotas) -> Region:
        places = begun.places.result()
        groups = begun.groups.result() if begun.groups is not None else {}
        self._check_places(region, places, groups)
        if begun.key is not None and not begun.key.result():
            raise NotFound(
                f"--key-name: there is no key pair '{self._options.key_name}' in {region}: `aws ec2 describe-key-pairs --region {region}` lists those there are"
            )
        on_demand, volume, notes = self._prices(region, begun, facts)
        spot, spot_notes = self._spot(begun)
        known_quotas, quota_notes = self._quotas(region, quoted)
        return Region(
            name=region,
            types=facts,
            zones=begun.zones.result(),
            places=places,
            groups=groups,
            images=chosen,
            quotas=known_quotas,
            spot=spot,
            on_demand=on_demand,
            volume=volume,
            notes=(*quota_notes, *notes, *spot_notes),
        )

    def _check_places(self, region: str, places: Sequence[Place], groups: Mapping[str, str]) -> None:
        if not places:
            raise NotFound(f"--subnet-id: {', '.join(self._options.subnets)} is not in {region}: name subnets of each region of the launch")
        if self._options.security_groups and not groups:
            raise NotFound(f"--security-group-id: {', '.join(self._options.security_groups)} is not in {region}: name a group of each region of the launch")
        for place in places:
            if self._options.security_groups and place.vpc not in groups.values():
                theirs = ", ".join(f"{group} (of {vpc})" for group, vpc in groups.items())
                raise InvalidField("--security-group-id", f"no group is of {place.vpc}, the VPC of {place.subnet} in {region}, but {theirs}: see --subnet-id")

    def _prices(self, region: str, begun: _Begun, facts: Mapping[str, TypeFacts]) -> tuple[dict[str, Price], VolumePrice | None, list[str]]:
        """What is listed, else what the shipped table says, with a sentence that tells so."""
        found: dict[str, Price] = {}
        shipped: dict[str, list[str]] = {}
        notes = []
        for name, future in begun.on_demand:
            price = _answer(future) or prices.shipped_price(region, name)
            if price is not None:
                found[name] = price
                shipped.setdefault(price.as_of, []).extend([name] if price.source == prices.SHIPPED else [])
            elif name in facts:
                notes.append(f"no price of {name} in {region} is known: what it costs is left out")
        notes += [f"the price of {', '.join(names)} in {region} is of {day}, from the {prices.SHIPPED}" for day, names in shipped.items() if names]
        volume = _answer(begun.volume) or prices.shipped_volume_price(region)
        if volume is None:
            notes.append(f"no price of volumes in {region} is known: what they cost is left out")
        return found, volume, notes

    def _spot(self, begun: _Begun) -> tuple[Mapping[tuple[str, str], Price], list[str]]:
        try:
            return begun.spot.result(), []
        except SpawnError as error:
            return {}, [f"spot prices are not known, and taken to be those of on-demand at most ({error})"] if self._options.spot else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """What is being looked up of a region."""

    types: Future[dict[str, TypeFacts]]
    zones: Future[dict[str, set[str]]]
    places: Future[list[Place]]
    groups: Future[dict[str, str]] | None
    key: Future[bool] | None
    spot: Future[dict[tuple[str, str], Price]]
    on_demand: Sequence[tuple[str, Future[Price | None]]]
    volume: Future[VolumePrice | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quotas:
    """The quotas that are being looked up in a region."""

    codes: Mapping[tuple[str, Market], str]  #: by type and market
    asked: Mapping[str, Future[float]]  #: by code


def _answer(future: Future[T | None]) -> T | None:
    try:
        return future.result()
    except SpawnError:
        return None
