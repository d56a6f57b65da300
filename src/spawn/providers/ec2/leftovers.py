"""What of ours is in one region: what lives on rightly, and what has outlived its end. Looks, and removes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec

from spawn.domain.errors import NotFound, SpawnError
from spawn.domain.ids import JobId
from spawn.domain.instants import Instant, from_seconds, iso, later
from spawn.engine.fleets import Leftover
from spawn.providers.ec2.asking import pages, patiently, read_object
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.network import GROUP
from spawn.providers.ec2.storage import MADE, RETENTION_DAYS, bucket_name
from spawn.providers.ec2.surveying import Heard
from spawn.providers.ec2.tags import ARRAY, BUCKET, LAUNCHED, end_of, read_tags

RETENTION: Final = timedelta(days=RETENTION_DAYS)
"""What is left of an array in a bucket is left over when none of its objects is younger."""

SLACK: Final = timedelta(minutes=10)
"""An instance has this long, after its end, to be gone by itself."""

FRESH: Final = timedelta(hours=1)
"""What was made so lately may belong to a launch that is just being made, by whomever."""

_ALIVE: Final = ["pending", "running", "stopping", "stopped"]
_TAGGED: Final = {"Name": "tag-key", "Values": [ARRAY]}
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A leftover, and the call that removes it; the call may be made again."""

    leftover: Leftover
    remove: Callable[[], object]


@dataclass(slots=True, kw_only=True)
class RegionView:
    """What was found in a region."""

    region: str
    candidates: list[Candidate] = field(default_factory=list)
    living: set[str] = field(default_factory=set)  #: ids of arrays of which an instance lives on rightly
    groups: set[str] = field(default_factory=set)  #: security groups that such an instance has
    failed: dict[str, str] = field(default_factory=dict)  #: services that could not be looked at, and why


class RegionLook:
    """Looks at one region."""

    def __init__(self, clients: Clients, region: str, *, live: Collection[JobId], at: Instant) -> None:
        self._clients = clients
        self._live = live
        self._at = at
        self._region = region
        self._ec2 = clients.client("ec2", region)
        self.view = RegionView(region=region)

    def look(self) -> RegionView:
        """Everything; what one service refuses is said, and the others are looked at."""
        for service, parts in (("EC2", (self._instances, self._volumes, self._templates, self._groups)), ("S3", (self._objects,))):
            try:
                for part in parts:
                    self.view.candidates += part()
            except SpawnError as error:
                self.view.failed[service] = str(error)
        return self.view

    def _found(self, kind: str, id_: str, array: str, why: str, remove: Callable[[], object]) -> Candidate:
        action = f"remove the {kind} {id_} in {self._region}"
        return Candidate(leftover=Leftover(region=self._region, kind=kind, id=id_, array=array, why=why), remove=partial(patiently, remove, action=action))

    def _is_fresh(self, made_at: datetime) -> bool:
        return later(from_seconds(made_at.timestamp()), FRESH) > self._at

    # --- instances ----------------------------------------------------------------------------------------------------

    def _instances(self) -> Iterator[Candidate]:
        filters = [_TAGGED, {"Name": "instance-state-name", "Values": _ALIVE}]
        ask = partial(self._ec2.describe_instances, Filters=filters, MaxResults=_PAGE)
        for page in pages(ask, action=f"look for instances in {self._region}"):
            for facts in (facts for reservation in page["Reservations"] for facts in reservation["Instances"]):
                why = self._why_over(facts, read_tags(facts.get("Tags")))
                if why is None:
                    self.view.living.add(read_tags(facts.get("Tags"))[ARRAY])
                    self.view.groups |= {group["GroupId"] for group in facts.get("SecurityGroups", ())}
                else:
                    remove = partial(self._ec2.terminate_instances, InstanceIds=[facts["InstanceId"]])
                    yield self._found("instance", facts["InstanceId"], read_tags(facts["Tags"])[ARRAY], why, remove)

    def _why_over(self, facts: Mapping[str, Any], tags: Mapping[str, str]) -> str | None:
        """Why an instance has outlived its end; None: it has not, or has none."""
        ends_at = end_of(tags, from_seconds(facts["LaunchTime"].timestamp()))
        if tags[ARRAY] in self._live or ends_at is None or later(ends_at, SLACK) > self._at:
            return None
        heard = self._heard(facts["InstanceId"], tags)
        if heard is not None:
            if heard.ends_at is None:
                return None
            ends_at = max(ends_at, from_seconds(heard.ends_at))
            if later(ends_at, SLACK) > self._at:
                return None
        stopped = " and is stopped: its volume costs" if facts["State"]["Name"] in ("stopped", "stopping") else ""
        return f"its end was {iso(ends_at)}" + ("" if heard is not None else "; it never checked in") + stopped

    def _heard(self, instance: str, tags: Mapping[str, str]) -> Heard | None:
        """Its agent's last word, which knows of `spawn extend`; None when there is none."""
        if BUCKET not in tags:
            return None
        key = f"arrays/{tags[ARRAY]}/instances/{instance}.json"
        try:
            return msgspec.json.decode(read_object(self._clients.client("s3", self._region), tags[BUCKET], key, action=f"read {key}"), type=Heard)
        except (NotFound, msgspec.MsgspecError):
            return None

    # --- what instances leave -----------------------------------------------------------------------------------------

    def _volumes(self) -> Iterator[Candidate]:
        ask = partial(self._ec2.describe_volumes, Filters=[_TAGGED, {"Name": "status", "Values": ["available"]}], MaxResults=500)
        for page in pages(ask, action=f"look for volumes in {self._region}"):
            for facts in page["Volumes"]:
                array = read_tags(facts.get("Tags"))[ARRAY]
                if array not in self._live and not self._is_fresh(facts["CreateTime"]):
                    why = f"no instance has it; {facts['Size']} GiB, made {iso(from_seconds(facts['CreateTime'].timestamp()))}"
                    yield self._found("volume", facts["VolumeId"], array, why, partial(self._ec2.delete_volume, VolumeId=facts["VolumeId"]))

    def _templates(self) -> Iterator[Candidate]:
        for page in pages(partial(self._ec2.describe_launch_templates, Filters=[_TAGGED]), action=f"look for launch templates in {self._region}"):
            for facts in page["LaunchTemplates"]:
                array = read_tags(facts.get("Tags"))[ARRAY]
                if array not in self._live and array not in self.view.living and not self._is_fresh(facts["CreateTime"]):
                    id_ = facts["LaunchTemplateId"]
                    yield self._found(
                        "launch-template", id_, array, "no instance of its array lives", partial(self._ec2.delete_launch_template, LaunchTemplateId=id_)
                    )

    def _groups(self) -> Iterator[Candidate]:
        """Security groups stay from launch to launch; without any launch for a day nobody needs them."""
        if self._live or self.view.living:
            return
        ask = partial(self._ec2.describe_security_groups, Filters=[{"Name": "tag-key", "Values": [MADE]}, {"Name": "group-name", "Values": [GROUP]}])
        for page in pages(ask, action=f"look for security groups in {self._region}"):
            for facts in page["SecurityGroups"]:
                tags = read_tags(facts.get("Tags"))
                made = tags.get(LAUNCHED, "")
                if made.isdecimal() and later(from_seconds(int(made)), timedelta(days=1)) > self._at:
                    continue
                remove = partial(self._ec2.delete_security_group, GroupId=facts["GroupId"])
                yield self._found("security-group", facts["GroupId"], "", "no instance of spawn lives in this region", remove)

    # --- objects ------------------------------------------------------------------------------------------------------

    def _objects(self) -> Iterator[Candidate]:
        """Arrays in the account's own bucket of this region of which nothing is younger than the retention."""
        s3, bucket = self._clients.client("s3", self._region), bucket_name(self._clients.caller().account, self._region)
        try:
            for page in pages(partial(s3.list_objects_v2, Bucket=bucket, Prefix="arrays/", Delimiter="/"), action=f"list the bucket {bucket}"):
                for entry in page.get("CommonPrefixes", ()):
                    array = entry["Prefix"].split("/")[1]
                    if array in self._live or array in self.view.living:
                        continue
                    count, newest = self._age(s3, bucket, entry["Prefix"])
                    if count:
                        why = f"its {count} objects are older than {RETENTION.days} days, the newest of {iso(newest)}"
                        remove = partial(remove_objects, s3, bucket, entry["Prefix"])
                        yield self._found("objects", f"s3://{bucket}/{entry['Prefix']}", array, why, remove)
        except NotFound:
            return

    def _age(self, s3: Any, bucket: str, prefix: str) -> tuple[int, Instant]:
        """How many objects there are and the time of the newest; 0 as soon as one is found that is to be kept."""
        count, newest = 0, Instant(0)
        for page in pages(partial(s3.list_objects_v2, Bucket=bucket, Prefix=prefix), action=f"list s3://{bucket}/{prefix}"):
            for entry in page.get("Contents", ()):
                count, newest = count + 1, max(newest, from_seconds(entry["LastModified"].timestamp()))
            if later(newest, RETENTION) > self._at:
                return 0, newest
        return count, newest


def remove_objects(s3: Any, bucket: str, prefix: str) -> None:
    """Delete everything below a prefix, a thousand at a time. Again: what is left. SpawnError names the first that could not be deleted."""
    while True:
        page = patiently(partial(s3.list_objects_v2, Bucket=bucket, Prefix=prefix), action=f"list s3://{bucket}/{prefix}")
        keys = [{"Key": entry["Key"]} for entry in page.get("Contents", ())]
        if not keys:
            return
        answer = patiently(partial(s3.delete_objects, Bucket=bucket, Delete={"Objects": keys, "Quiet": True}), action=f"delete below s3://{bucket}/{prefix}")
        for error in answer.get("Errors", ())[:1]:
            raise SpawnError(f"cannot delete s3://{bucket}/{error['Key']}: {error.get('Message') or error.get('Code')}")
