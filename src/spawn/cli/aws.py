"""What `spawn connect` asks of AWS itself, with the credentials of this shell: the engine has no part in who enters an instance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, NamedTuple

from spawn.domain.errors import ConfigurationError, Conflict, Unavailable

SSH_PORT: Final = 22
_OURS: Final = "spawn:"
"""What the names of tags begin with that are on whatever spawn made."""

_USERS: Final = (("ubuntu", "ubuntu"), ("debian", "admin"), ("fedora", "fedora"), ("rocky", "rocky"), ("centos", "centos"))
"""Who logs in to images with such names; everybody else's is `ec2-user`."""

DEFAULT_USER: Final = "ec2-user"


class Groups(NamedTuple):
    """The security groups of an instance: all, and those that spawn made."""

    all: tuple[str, ...]
    own: tuple[str, ...]


def push_key(*, instance_id: str, zone: str, region: str, user: str, public_key: str) -> None:
    """Let a key in for a minute (EC2 Instance Connect). Again: for another minute."""
    with _speaking_of(f"send a key to {instance_id} (ec2-instance-connect:SendSSHPublicKey)"):
        _client("ec2-instance-connect", region).send_ssh_public_key(InstanceId=instance_id, InstanceOSUser=user, SSHPublicKey=public_key, AvailabilityZone=zone)


def login_user(image: str, region: str) -> str:
    """Who logs in to instances of an image, by its name."""
    with _speaking_of(f"look up the image {image} (ec2:DescribeImages); name its user with --user"):
        found = _client("ec2", region).describe_images(ImageIds=[image])["Images"]
    name = f"{found[0].get('Name', '')} {found[0].get('Description', '')}".lower() if found else ""
    return next((user for word, user in _USERS if word in name), DEFAULT_USER)


def groups_of(instance_id: str, region: str) -> Groups:
    """The security groups that an instance has."""
    with _speaking_of(f"look up the security groups of {instance_id} (ec2:DescribeInstances, ec2:DescribeSecurityGroups)"):
        ec2 = _client("ec2", region)
        instances = [one for entry in ec2.describe_instances(InstanceIds=[instance_id])["Reservations"] for one in entry["Instances"]]
        ids = [group["GroupId"] for one in instances for group in one.get("SecurityGroups", ())]
        if not ids:
            return Groups((), ())
        found = ec2.describe_security_groups(GroupIds=ids)["SecurityGroups"]
    own = [group["GroupId"] for group in found if any(tag["Key"].startswith(_OURS) for tag in group.get("Tags", ()))]
    return Groups(tuple(ids), tuple(own))


def open_ssh(group: str, region: str, addresses: str) -> bool:
    """Let some addresses (CIDR) in by ssh; False when they are let in already."""
    from botocore.exceptions import ClientError

    words = "CidrIpv6" if ":" in addresses else "CidrIp"
    ranges = {"Ipv6Ranges" if ":" in addresses else "IpRanges": [{words: addresses, "Description": "spawn connect"}]}
    permission = {"IpProtocol": "tcp", "FromPort": SSH_PORT, "ToPort": SSH_PORT, **ranges}
    with _speaking_of(f"open port {SSH_PORT} of {group} (ec2:AuthorizeSecurityGroupIngress)"):
        try:
            _client("ec2", region).authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidPermission.Duplicate":
                return False
            raise
    return True


def address_here() -> str:
    """The address under which AWS sees this machine."""
    import urllib.request

    try:
        with urllib.request.urlopen("https://checkip.amazonaws.com", timeout=5) as answer:
            return _address(answer.read(100).decode("ascii", "replace").strip())
    except (OSError, ValueError) as error:
        raise Unavailable("the address that AWS sees this machine under could not be found out: name it, with --allow-from 203.0.113.7/32") from error


def _address(text: str) -> str:
    import ipaddress

    return str(ipaddress.ip_address(text))


@cache
def _session() -> Any:
    """One for all clients, so that a service's description, which takes a third of a second to read, is read once."""
    from botocore.session import Session

    return Session()


def _client(service: str, region: str) -> Any:
    from botocore.config import Config

    return _session().create_client(
        service, region_name=region, config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"})
    )


_DENIED: Final[Sequence[str]] = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


@contextmanager
def _speaking_of(what: str) -> Iterator[None]:
    """Tell what AWS refuses in one sentence, with what was wanted."""
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError

    try:
        yield
    except ClientError as error:
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        if code in _DENIED:
            raise ConfigurationError(f"your AWS credentials may not {what}: {message[:300]}") from error
        raise Conflict(f"AWS refused to {what}: {message[:300] or code}") from error
    except (EndpointConnectionError, HTTPClientError) as error:
        raise Unavailable(f"AWS did not answer when asked to {what}") from error
    except BotoCoreError as error:
        raise ConfigurationError(f"this shell cannot {what}: {' '.join(str(error).split())}") from error
