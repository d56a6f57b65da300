"""An EC2 in memory that answers RunInstances as a test says, keeps ClientToken's promise, and has a bucket and nothing else."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from spawn.providers.ec2.clients import Caller

Answer = str | int
"""`all`, a number (at most so many are launched), `lost` (all are, and the answer is lost), `silent` (none is, without an answer), or an error's code."""

_STATUS = {"InternalError": 500, "InsufficientInstanceCapacity": 500, "RequestLimitExceeded": 503}


class FakeEc2:
    """What a fleet's work needs of `Clients`. Instances run for ever and write nothing."""

    def __init__(self, answers: Iterator[Answer], *, now: Callable[[], int]) -> None:
        self.launched: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.terminated: list[str] = []
        self.protected: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.refusals: dict[str, list[str]] = {}  #: by action, the codes with which its next calls are refused; `lost`: done, and the answer is lost
        self.calls = Counter[str]()  #: of S3, by the name of the object
        self._answers = itertools.chain(answers, itertools.repeat("all"))
        self._by_token: dict[str, tuple[dict[str, Any], list[str]]] = {}
        self._numbers = itertools.count(1)
        self._now = now

    def client(self, service: str, region: str | None = None) -> FakeEc2:
        """All services in one."""
        return self

    def caller(self) -> Caller:
        """Somebody."""
        return Caller(account="1", arn="arn:aws:iam::1:user/me", partition="aws")

    def endpoint(self, service: str) -> str | None:
        """AWS's own."""
        return None

    # --- EC2 --------------------------------------------------------------------------------------------------------------

    def run_instances(self, **asked: Any) -> dict[str, Any]:
        """Launch what the next answer allows; a token that launched something gives the same again, whatever the answer would be."""
        self.asked.append(asked)
        token = asked["ClientToken"]
        answer = next(self._answers)
        if token in self._by_token:
            before, ids = self._by_token[token]
            assert before == asked, "a token came with other parameters"
            return {"Instances": [self.launched[one] for one in ids]}
        if answer == "silent":
            raise ReadTimeoutError(endpoint_url="https://ec2")
        if isinstance(answer, str) and answer not in ("all", "lost"):
            raise _error(answer, "RunInstances")
        count = min(asked["MaxCount"], answer) if isinstance(answer, int) else asked["MaxCount"]
        self._by_token[token] = (asked, [self._launch(asked, index) for index in range(count)])
        if answer == "lost":
            raise ReadTimeoutError(endpoint_url="https://ec2")
        return {"Instances": [self.launched[one] for one in self._by_token[token][1]]}

    def _launch(self, asked: dict[str, Any], index: int) -> str:
        name = f"i-{next(self._numbers):017x}"
        self.launched[name] = {
            "InstanceId": name,
            "AmiLaunchIndex": index,
            "ClientToken": asked["ClientToken"],
            "InstanceType": asked["InstanceType"],
            "Placement": {"AvailabilityZone": asked["SubnetId"]},
            "State": {"Name": "running"},
            "LaunchTime": datetime.fromtimestamp(self._now() / 1000, UTC),
            "Tags": asked["TagSpecifications"][0]["Tags"],
        }
        return name

    def describe_instances(self, **asked: Any) -> dict[str, Any]:
        """Every instance that a filter wants."""
        self._refuse("DescribeInstances")
        [wanted] = asked["Filters"]
        found = [one for one in self.launched.values() if _matches(one, wanted)]
        return {"Reservations": [{"Instances": found}]}

    def terminate_instances(self, **asked: Any) -> dict[str, Any]:
        """They are gone at once; none of them when one is protected."""
        self._refuse("TerminateInstances")
        if protected := self.protected & set(asked["InstanceIds"]):
            raise _error("OperationNotPermitted", "TerminateInstances", f"The instance '{min(protected)}' may not be terminated.")
        for name in asked["InstanceIds"]:
            self.terminated.append(name)
            self.launched[name] |= {"State": {"Name": "terminated"}, "StateReason": {"Code": "Client.UserInitiatedShutdown", "Message": "a test"}}
        return {}

    def _refuse(self, action: str) -> None:
        if self.refusals.get(action):
            raise _error(self.refusals[action].pop(0), action)

    # --- S3 ---------------------------------------------------------------------------------------------------------------

    def put_object(self, **asked: Any) -> dict[str, Any]:
        """Keep it."""
        key, body = asked["Key"], asked["Body"]
        self.calls[f"put_object {key.rpartition('/')[2]}"] += 1
        refusal = self.refusals["PutObject"].pop(0) if self.refusals.get("PutObject") else None
        if refusal not in (None, "lost"):
            raise _error(refusal, "PutObject")
        if asked.get("IfNoneMatch") and key in self.objects:
            raise _error("PreconditionFailed", "PutObject")
        if (etag := asked.get("IfMatch")) is not None and (key not in self.objects or etag != _etag(self.objects[key])):
            raise _error("PreconditionFailed" if key in self.objects else "NoSuchKey", "PutObject")
        self.objects[key] = body
        if refusal == "lost":
            raise ReadTimeoutError(endpoint_url="https://s3")
        return {"ETag": _etag(body)}

    def head_object(self, **asked: Any) -> dict[str, Any]:
        """It is there, or not."""
        if asked["Key"] not in self.objects:
            raise _error("404", "HeadObject")
        return {}

    def get_object(self, **asked: Any) -> dict[str, Any]:
        """What was kept."""
        if asked["Key"] not in self.objects:
            raise _error("NoSuchKey", "GetObject")
        self.calls[f"get_object {asked['Key'].rpartition('/')[2]}"] += 1
        content = self.objects[asked["Key"]]
        return {"Body": type("Body", (), {"read": lambda _: content})(), "ETag": _etag(content)}

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        """All of a prefix."""
        return {"Contents": [{"Key": key, "ETag": _etag(body)} for key, body in self.objects.items() if key.startswith(asked["Prefix"])]}

    def generate_presigned_url(self, _: str, Params: dict[str, str], ExpiresIn: int) -> str:  # noqa: N803
        """A URL that is another one each time."""
        return f"https://bucket/{Params['Key']}?at={self._now()}&for={ExpiresIn}"

    def codes(self) -> Counter[str]:
        """How many instances each zone's subnet has."""
        return Counter(one["Placement"]["AvailabilityZone"] for one in self.launched.values())


def _matches(instance: dict[str, Any], wanted: dict[str, Any]) -> bool:
    if wanted["Name"] == "client-token":
        return instance["ClientToken"] in wanted["Values"]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    return tags.get(wanted["Name"].removeprefix("tag:")) in wanted["Values"]


def _etag(body: bytes) -> str:
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


def _error(code: str, action: str, message: str = "") -> ClientError:
    status = {"HTTPStatusCode": _STATUS.get(code, 400)}
    return ClientError({"Error": {"Code": code, "Message": message or f"a test says {code}"}, "ResponseMetadata": status}, action)
