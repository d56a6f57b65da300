"""Looking through an account for what carries our tag and has outlived its end, and removing it in the order in which it can be removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from spawn.domain.errors import NotFound, SpawnError
from spawn.domain.ids import JobId
from spawn.domain.instants import Instant, from_seconds, iso, later
from spawn.engine.fleets import Leftover, Sweep
from spawn.providers.ec2.asking import pages, patiently
from spawn.providers.ec2.clients import Clients, code_of
from spawn.providers.ec2.iam import PATH, delete_profile, delete_role
from spawn.providers.ec2.leftovers import RETENTION, Candidate, RegionLook, RegionView
from spawn.providers.ec2.tags import ARRAY, end_of, read_tags
from spawn.providers.ec2.zones import check_regions

GLOBAL: Final = "global"
"""The region of what has none."""

_AT_ONCE: Final = 8
_ORDER: Final = ("instance", "volume", "launch-template", "queue", "security-group", "instance-profile", "role", "objects")
_ENDING_S: Final = 2.0
_ENDING_TRIES: Final = 45
_GONE: Final = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})

_LONG_OVER: Final = timedelta(days=1)
"""So long after the end of its array by its tags a role or queue is left over, when no region has an instance that uses it."""

_LONGER_OVER: Final = timedelta(days=7)
"""The same when not all regions were looked at."""


def sweep(
    clients: Clients, *, regions: Sequence[str], live: Collection[JobId], remove: bool, at: Instant, pause: Callable[[float], None] = time.sleep
) -> Sweep:
    """Look at these regions (none: all that the account has enabled), several at a time; with `remove` remove what was found there.

    `live` arrays are left alone, and so is what other machines launched and has not outlived its own end. A region that does not exist is refused; a
    region or service that cannot be looked at is in `failed`, and the others are looked at. What could not be removed says why. Again: finds what is left.
    """
    check_regions(clients, regions)
    account = clients.caller().account
    looked = tuple(dict.fromkeys(regions)) or _enabled(clients)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sweep") as pool:
        views = list(pool.map(partial(_look, clients, live=live, at=at), looked))
    shared = _Shared(clients, views, live=live, at=at, complete=not regions and not any(view.failed for view in views))
    candidates = [*(found for view in views for found in view.candidates), *shared.candidates()]
    candidates.sort(key=lambda found: _ORDER.index(found.leftover.kind))
    leftovers = _removed(clients, candidates, pause) if remove else [found.leftover for found in candidates]
    seen = tuple(view.region for view in views if "EC2" not in view.failed)
    return Sweep(account=account, regions=seen, failed=_failures(views) | shared.failed, leftovers=tuple(leftovers))


def _enabled(clients: Clients) -> tuple[str, ...]:
    answer = patiently(clients.client("ec2", clients.home_region()).describe_regions, action="list the regions of the account")
    return tuple(sorted(region["RegionName"] for region in answer["Regions"]))


def _look(clients: Clients, region: str, *, live: Collection[JobId], at: Instant) -> RegionView:
    try:
        return RegionLook(clients, region, live=live, at=at).look()
    except SpawnError as error:
        return RegionView(region=region, failed={"EC2": str(error)})


def _failures(views: Iterable[RegionView]) -> dict[str, str]:
    return {view.region if service == "EC2" else f"{view.region} ({service})": why for view in views for service, why in view.failed.items()}


class _Shared:
    """What serves an array wherever its instances are: its role, instance profile and queue."""

    def __init__(self, clients: Clients, views: Sequence[RegionView], *, live: Collection[JobId], at: Instant, complete: bool) -> None:
        self._clients = clients
        self._views = views
        self._used = {*live, *(array for view in views for array in view.living)}
        self._at = at
        self._complete = complete
        self._iam = clients.client("iam", clients.home_region())
        self.failed: dict[str, str] = {}

    def candidates(self) -> Iterator[Candidate]:
        """What no instance uses any more. What cannot be looked at is noted in `failed`."""
        looks: list[tuple[str, Callable[[], Iterator[Candidate]]]] = [("IAM", self._profiles), ("IAM", self._roles)]
        looks += [(f"{view.region} (SQS)", partial(self._queues, view.region)) for view in self._views]
        for name, find in looks:
            try:
                yield from find()
            except SpawnError as error:
                self.failed[name] = str(error)

    def _is_over(self, tags: dict[str, str], made_at: Instant) -> bool:
        """Whether nobody uses it and nobody will: its array may wait for room long after its launch, on whatever machine."""
        if ARRAY not in tags or tags[ARRAY] in self._used:
            return False
        ends_at = end_of(tags, made_at)
        if ends_at is None:
            return later(made_at, RETENTION) < self._at
        return later(ends_at, _LONG_OVER if self._complete else _LONGER_OVER) < self._at

    def _found(self, kind: str, region: str, name: str, array: str, made_at: Instant, remove: Callable[[], object]) -> Candidate:
        why = f"no instance of its array lives; made {iso(made_at)}"
        return Candidate(leftover=Leftover(region=region, kind=kind, id=name, array=array, why=why), remove=remove)

    def _profiles(self) -> Iterator[Candidate]:
        for page in pages(self._iam.list_instance_profiles, action="list the instance profiles", PathPrefix=PATH):
            for facts in page["InstanceProfiles"]:
                name, made_at = facts["InstanceProfileName"], _instant(facts["CreateDate"])
                tags = _tags(partial(self._iam.get_instance_profile, InstanceProfileName=name), f"read the instance profile {name}")
                if self._is_over(tags, made_at):
                    roles = [role["RoleName"] for role in facts["Roles"]]
                    yield self._found("instance-profile", GLOBAL, name, tags[ARRAY], made_at, partial(delete_profile, self._iam, name, roles))

    def _roles(self) -> Iterator[Candidate]:
        for page in pages(self._iam.list_roles, action="list the roles", PathPrefix=PATH):
            for facts in page["Roles"]:
                name, made_at = facts["RoleName"], _instant(facts["CreateDate"])
                tags = _tags(partial(self._iam.get_role, RoleName=name), f"read the role {name}")
                if self._is_over(tags, made_at):
                    yield self._found("role", GLOBAL, name, tags[ARRAY], made_at, partial(delete_role, self._iam, name))

    def _queues(self, region: str) -> Iterator[Candidate]:
        sqs = self._clients.client("sqs", region)
        for page in pages(sqs.list_queues, action=f"list the queues in {region}", QueueNamePrefix="spawn-", MaxResults=1000):
            for url in page.get("QueueUrls", ()):
                try:
                    tags = patiently(partial(sqs.list_queue_tags, QueueUrl=url), action=f"read the tags of {url}").get("Tags", {})
                    asked = partial(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["CreatedTimestamp"])
                    made_at = from_seconds(int(patiently(asked, action=f"read the age of {url}")["Attributes"]["CreatedTimestamp"]))
                except SpawnError as error:
                    if is_gone(error):
                        continue
                    raise
                if self._is_over(tags, made_at):
                    remove = partial(patiently, partial(sqs.delete_queue, QueueUrl=url), action=f"delete the queue {url}")
                    yield self._found("queue", region, url, tags[ARRAY], made_at, remove)


def is_gone(error: SpawnError) -> bool:
    """Whether AWS refused because what was named is not there (any more)."""
    return isinstance(error, NotFound) or (error.__cause__ is not None and code_of(error.__cause__) in _GONE)


def _tags(ask: Callable[[], dict[str, Any]], action: str) -> dict[str, str]:
    """Tags of a role or an instance profile, which a listing does not give; none when it is gone meanwhile."""
    try:
        answer = patiently(ask, action=action)
    except NotFound:
        return {}
    return read_tags((answer.get("Role") or answer["InstanceProfile"]).get("Tags"))


def _instant(moment: datetime) -> Instant:
    return from_seconds(moment.timestamp())


# --- removing ---------------------------------------------------------------------------------------------------------


def _removed(clients: Clients, candidates: Sequence[Candidate], pause: Callable[[float], None]) -> list[Leftover]:
    """Each of them, with what became of it; kinds in their order, and nothing that instances hold before these have ended."""
    done: list[Leftover] = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="remove") as pool:
        for kind in _ORDER:
            of_kind = [found for found in candidates if found.leftover.kind == kind]
            if kind == "security-group":
                _await_ends(clients, [one for one in done if one.kind == "instance" and one.removed], {found.leftover.region for found in of_kind}, pause)
            done += pool.map(_remove, of_kind)
    return done


def _remove(found: Candidate) -> Leftover:
    try:
        found.remove()
    except SpawnError as error:
        if not is_gone(error):
            return replace(found.leftover, error=str(error))
    return replace(found.leftover, removed=True)


def _await_ends(clients: Clients, instances: Sequence[Leftover], regions: Collection[str], pause: Callable[[float], None]) -> None:
    """Give instances in these regions up to 90 s to be gone; what they hold cannot be removed before."""
    for region in regions:
        ids = [one.id for one in instances if one.region == region]
        for _ in range(_ENDING_TRIES):
            if not ids or not _still_there(clients.client("ec2", region), ids):
                break
            pause(_ENDING_S)


def _still_there(ec2: Any, ids: Sequence[str]) -> bool:
    filters = [{"Name": "instance-id", "Values": ids[:200]}, {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "shutting-down"]}]
    try:
        return any(page["Reservations"] for page in pages(ec2.describe_instances, action="see whether instances have ended", Filters=filters))
    except SpawnError:
        return False
