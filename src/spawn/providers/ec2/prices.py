"""Prices: what AWS says that instances and volumes cost, now and in the past. For where it says nothing there is `price_table`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from spawn.domain.costs import Price
from spawn.domain.instants import Instant, later, to_datetime
from spawn.providers.ec2.asking import pages, patiently
from spawn.providers.ec2.clients import HOME_REGION, Clients
from spawn.providers.ec2.price_table import SHIPPED, VolumePrice, shipped_price, shipped_volume_price

__all__ = [
    "PRICE_LIST",
    "SHIPPED",
    "SPOT_HISTORY",
    "VolumePrice",
    "average_of",
    "listed_price",
    "listed_volume_price",
    "shipped_price",
    "shipped_volume_price",
    "spot_average",
    "spot_prices",
]

PRICE_LIST: Final = "AWS Price List"
SPOT_HISTORY: Final = "spot price history"

_LINUX: Final = "Linux/UNIX"
_PLAIN: Final = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "operation": "RunInstances",
}


def listed_price(clients: Clients, region: str, type_name: str, at: Instant) -> Price | None:
    """What the Price List says for an hour of Linux, shared tenancy, nothing installed; None: not one price. SpawnError when it cannot be asked."""
    rows = _rows(clients, f"the price of {type_name} in {region}", {**_PLAIN, "instanceType": type_name, "regionCode": region})
    found = {price for row in rows if row["product"].get("productFamily", "").startswith("Compute Instance") for price in _hourly(row, "Hrs")}
    return Price(usd=found.pop(), source=PRICE_LIST, as_of=_day(at)) if len(found) == 1 else None


def listed_volume_price(clients: Clients, region: str, at: Instant) -> VolumePrice | None:
    """What the Price List says for a GiB-month of gp3; None: not one price. SpawnError when it cannot be asked."""
    rows = _rows(clients, f"the price of gp3 volumes in {region}", {"productFamily": "Storage", "volumeApiName": "gp3", "regionCode": region})
    found = {price for row in rows for price in _hourly(row, "GB-Mo")}
    return VolumePrice(usd=found.pop(), source=PRICE_LIST, as_of=_day(at)) if len(found) == 1 else None


def spot_prices(clients: Clients, region: str, types: Sequence[str], at: Instant) -> dict[tuple[str, str], Price]:
    """What spot instances of these types cost now, by type and zone. SpawnError when it cannot be asked."""
    latest: dict[tuple[str, str], tuple[datetime, float]] = {}
    for entry in _history(clients, region, types, at, at):
        key, then = (entry["InstanceType"], entry["AvailabilityZone"]), entry["Timestamp"]
        if key not in latest or then >= latest[key][0]:
            latest[key] = then, float(entry["SpotPrice"])
    return {key: Price(usd=usd, source=SPOT_HISTORY, as_of=_day(at)) for key, (_, usd) in latest.items()}


def spot_average(clients: Clients, region: str, zone: str, type_name: str, began: Instant, ended: Instant) -> Price | None:
    """What a spot instance was charged an hour on the average of an interval; None: nobody tells. SpawnError when it cannot be asked."""
    changes = [
        (entry["Timestamp"].timestamp() * 1000, float(entry["SpotPrice"]))
        for entry in _history(clients, region, [type_name], began, ended)
        if entry["AvailabilityZone"] == zone
    ]
    usd = average_of(changes, began, ended)
    return None if usd is None else Price(usd=usd, source=SPOT_HISTORY, as_of=_day(ended))


def average_of(changes: Iterable[tuple[float, float]], began: Instant, ended: Instant) -> float | None:
    """The average over an interval of a price that changes at some moments, in milliseconds; before the first change it is taken to be that one's."""
    ordered = sorted(changes)
    if not ordered:
        return None
    before = [usd for then, usd in ordered if then <= began]
    within = [(then, usd) for then, usd in ordered if began < then < ended]
    steps = [(float(began), before[-1] if before else ordered[0][1]), *within]
    if ended <= began:
        return steps[0][1]
    ends = [then for then, _ in steps[1:]] + [float(ended)]
    return sum(usd * (end - then) for (then, usd), end in zip(steps, ends, strict=True)) / (ended - began)


def _history(clients: Clients, region: str, types: Sequence[str], began: Instant, ended: Instant) -> list[dict[str, Any]]:
    """Price changes of an interval, and those in force at its beginning, which EC2 gives too."""
    ask = clients.client("ec2", region).describe_spot_price_history
    found = pages(
        ask,
        action=f"look up spot prices in {region}",
        InstanceTypes=list(types),
        ProductDescriptions=[_LINUX],
        StartTime=to_datetime(began),
        EndTime=to_datetime(max(ended, later(began, timedelta(seconds=1)))),
    )
    return [entry for page in found for entry in page["SpotPriceHistory"]]


def _rows(clients: Clients, what: str, attributes: Mapping[str, str]) -> list[dict[str, Any]]:
    # the Price List has few endpoints: this one knows all regions of its partition
    ask = clients.client("pricing", HOME_REGION).get_products
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in attributes.items()]
    answer = patiently(lambda: ask(ServiceCode="AmazonEC2", Filters=filters, FormatVersion="aws_v1", MaxResults=100), action=f"look up {what}", tries=2)
    return [json.loads(row) if isinstance(row, str) else row for row in answer["PriceList"]]


def _hourly(row: dict[str, Any], unit: str) -> list[float]:
    """The prices for a unit of a row's on-demand terms, without those of 0, which are for what reservations cover."""
    terms = row.get("terms", {}).get("OnDemand", {}).values()
    dimensions = [dimension for term in terms for dimension in term.get("priceDimensions", {}).values()]
    prices = [float(dimension["pricePerUnit"].get("USD", 0)) for dimension in dimensions if dimension.get("unit") == unit]
    return [price for price in prices if price > 0]


def _day(at: Instant) -> str:
    return to_datetime(at).astimezone(UTC).date().isoformat()
