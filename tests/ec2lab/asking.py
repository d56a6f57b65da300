"""A laboratory as its clients see it: boto3, without retries."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from spawn.testing.ec2lab import Lab
from spawn.testing.ec2lab.instances import Life

X86 = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
ARM = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}'


@functools.cache
def _session() -> Any:
    """Models are read once."""
    return botocore.session.Session()


class Asking:
    """boto3's clients for a laboratory: as its user, or with other credentials."""

    def __init__(self, lab: Lab, keys: Mapping[str, str] | None = None) -> None:
        self.lab = lab
        environment = lab.environment()
        self._keys = keys or {"AccessKeyId": environment["AWS_ACCESS_KEY_ID"], "SecretAccessKey": environment["AWS_SECRET_ACCESS_KEY"]}
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A client that tries once."""
        if (service, region) not in self._clients:
            self._clients[service, region] = _session().create_client(
                service,
                region_name=region,
                endpoint_url=self.lab.endpoint,
                aws_access_key_id=self._keys["AccessKeyId"],
                aws_secret_access_key=self._keys["SecretAccessKey"],
                aws_session_token=self._keys.get("Token"),
                config=Config(retries={"total_max_attempts": 1}, read_timeout=20, signature_version="s3v4" if service == "s3" else None),
            )
        return self._clients[service, region]

    @property
    def ec2(self) -> Any:
        """EC2 in us-east-1."""
        return self.client("ec2")

    @property
    def s3(self) -> Any:
        """S3."""
        return self.client("s3")

    @property
    def iam(self) -> Any:
        """IAM."""
        return self.client("iam")

    @functools.cached_property
    def image(self) -> str:
        """The latest Amazon Linux for x86."""
        return str(self.client("ssm").get_parameter(Name=X86)["Parameter"]["Value"])

    def run(self, most: int = 1, *, least: int = 1, region: str = "us-east-1", **members: Any) -> list[dict[str, Any]]:
        """The instances that RunInstances launched."""
        asked = {"ImageId": self.image, "InstanceType": "t3.micro", **members}
        return list(self.client("ec2", region).run_instances(MinCount=least, MaxCount=most, **asked)["Instances"])

    def shown(self, **members: Any) -> list[dict[str, Any]]:
        """What one DescribeInstances call shows."""
        return [one for each in self.ec2.describe_instances(**members)["Reservations"] for one in each["Instances"]]

    def one(self, instance_id: str) -> dict[str, Any]:
        """An instance as it is shown."""
        [shown] = self.shown(InstanceIds=[instance_id])
        return shown

    def life(self, instance_id: str) -> Life:
        """What became of an instance."""
        [life] = [life for life in self.lab.lives() if life.instance_id == instance_id]
        return life

    def bucket(self) -> str:
        """A new bucket."""
        name = f"lab-{self.lab.account}"
        self.s3.create_bucket(Bucket=name)
        return name

    def profile(self, name: str = "worker", policy: str | None = None) -> None:
        """A role and its instance profile."""
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        if policy is not None:
            self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)
        self.iam.create_instance_profile(InstanceProfileName=name)
        self.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


@contextmanager
def refused(code: str, *words: str) -> Iterator[None]:
    """AWS says no, with this code and these words."""
    try:
        yield
    except ClientError as error:
        said = error.response["Error"]
        assert said["Code"] == code, said
        for each in words:
            assert each in said["Message"], said
    else:
        raise AssertionError(f"no {code}")
