"""The moto server behind the laboratory: everything that is not about instances. Each laboratory has an account of its own in it."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from spawn.testing.ec2lab.requests import Answer, Request

_ONE_AT_A_TIME: Final = threading.RLock()
"""moto does not expect two calls at once."""

_APPLICATIONS: Final[dict[str, Any]] = {}
"""One for each service, for every account: moto's own dispatcher reads a directory at each request to learn what it serves."""

_HOP_BY_HOP: Final = frozenset({"connection", "transfer-encoding", "server", "date", "content-length"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet as moto keeps it."""

    id: str
    zone: str
    vpc: str
    network: str
    default: bool
    public: bool


class Moto:
    """moto's WSGI application, asked in this process, for one account."""

    def __init__(self, account: str) -> None:
        # moto's images are not shown here, and making them takes most of the time that a region takes
        os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        from moto.backends import get_backend
        from moto.server import create_backend_app

        self._account = account
        self._make = create_backend_app
        self._backend = get_backend

    def ask(self, request: Request, port: int) -> Answer:
        """What moto answers to a request."""
        said: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            said[:] = [int(status.partition(" ")[0]), headers]

        with _ONE_AT_A_TIME:
            if request.service not in _APPLICATIONS:
                _APPLICATIONS[request.service] = self._make(request.service)
            chunks = _APPLICATIONS[request.service](self._environ(request, port), start)
            body = b"".join(chunks)
            if hasattr(chunks, "close"):
                chunks.close()
        # the length that a HEAD request is told is the object's
        kept = [(name, value) for name, value in said[1] if name.lower() not in _HOP_BY_HOP or (request.method == "HEAD" and name.lower() == "content-length")]
        return Answer(status=said[0], headers=tuple(kept), body=body)

    def _environ(self, request: Request, port: int) -> dict[str, Any]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(request.path, "latin-1"),
            "RAW_URI": request.path + (f"?{request.query}" if request.query else ""),
            "QUERY_STRING": request.query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request.headers.items():
            if name not in ("content-length", "transfer-encoding", "expect"):
                environ["CONTENT_TYPE" if name == "content-type" else "HTTP_" + name.upper().replace("-", "_")] = value
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account
        return environ

    # --- what the laboratory needs to know of it ------------------------------------------------------------------------

    def zones(self, region: str) -> list[str]:
        """The availability zones of a region."""
        with _ONE_AT_A_TIME:
            known = region in self._backend("ec2")[self._account]
            return sorted(zone.name for zone in self._ec2(region).describe_availability_zones()) if known else []

    def subnets(self, region: str) -> dict[str, Subnet]:
        """The subnets of a region, by id."""
        with _ONE_AT_A_TIME:
            subnets = [subnet for by_zone in self._ec2(region).subnets.values() for subnet in by_zone.values()]
            return {
                subnet.id: Subnet(
                    id=subnet.id,
                    zone=subnet.availability_zone,
                    vpc=subnet.vpc_id,
                    network=subnet.cidr_block,
                    default=str(subnet.default_for_az).lower() == "true",
                    public=str(subnet.map_public_ip_on_launch).lower() == "true",
                )
                for subnet in subnets
            }

    def groups(self, region: str) -> dict[str, tuple[str, str]]:
        """Name and VPC of each security group, by id."""
        with _ONE_AT_A_TIME:
            return {group.id: (group.name, group.vpc_id or "") for groups in self._ec2(region).groups.values() for group in groups.values()}

    def keys(self, region: str) -> set[str]:
        """The names of the key pairs."""
        with _ONE_AT_A_TIME:
            return set(self._ec2(region).key_pairs)

    def tags(self, region: str) -> list[tuple[str, str, str, str]]:
        """Resource, its kind, key and value of each tag."""
        with _ONE_AT_A_TIME:
            return [(tag["resource_id"], tag["resource_type"], tag["key"], tag["value"]) for tag in self._ec2(region).describe_tags()]

    def profiles(self) -> dict[str, list[str]]:
        """The roles of each instance profile, by its name."""
        with _ONE_AT_A_TIME:
            return {profile.name: [role.name for role in profile.roles] for profile in self._iam().instance_profiles.values()}

    def policies(self, role: str) -> list[str]:
        """The policy documents of a role; KeyError when there is no such role."""
        with _ONE_AT_A_TIME:
            found = next((each for each in self._iam().roles.values() if each.name == role), None)
            if found is None:
                raise KeyError(role)
            return [
                *found.policies.values(),
                *(version.document for policy in found.managed_policies.values() for version in policy.versions if version.is_default),
            ]

    def is_role(self, arn: str) -> bool:
        """Whether there is a role of this ARN, path included."""
        with _ONE_AT_A_TIME:
            return any(each.arn == arn for each in self._iam().roles.values())

    def know_managed_policies(self) -> None:
        """Let IAM have the policies that AWS manages. Again: nothing."""
        from moto.iam.aws_managed_policies import aws_managed_policies_data
        from moto.iam.models import AWSManagedPolicy

        with _ONE_AT_A_TIME:
            iam = self._iam()
            if not iam.aws_managed_policies:
                iam.aws_managed_policies = [
                    AWSManagedPolicy.from_data(name, self._account, "aws", data) for name, data in json.loads(aws_managed_policies_data).items()
                ]
                iam.managed_policies |= {policy.arn: policy for policy in iam.aws_managed_policies}

    def objects(self, bucket: str) -> dict[str, Any] | None:
        """The objects of a bucket by key; None when there is no such bucket."""
        with _ONE_AT_A_TIME:
            found = self._s3()[self._account]["aws"].buckets.get(bucket)
            return None if found is None else {key: one for key, one in found.keys.items() if hasattr(one, "etag")}

    def owner(self, bucket: str) -> str | None:
        """The account that a bucket belongs to, which may be another one's; None when there is no such bucket."""
        with _ONE_AT_A_TIME:
            found = self._s3().bucket_accounts.get(bucket)
            return None if found is None else str(found[1])

    def forget(self) -> None:
        """Remove all that the account has."""
        with _ONE_AT_A_TIME:
            for service in ("ec2", "iam", "s3", "sqs", "ssm", "sts", "kms", "cloudwatch", "logs"):
                dict.pop(self._backend(service), self._account, None)
            buckets = self._s3().bucket_accounts
            for name in [name for name, (_, account) in buckets.items() if account == self._account]:
                del buckets[name]

    def _ec2(self, region: str) -> Any:
        return self._backend("ec2")[self._account][region]

    def _iam(self) -> Any:
        return self._backend("iam")[self._account]["aws"]

    def _s3(self) -> Any:
        return self._backend("s3")
