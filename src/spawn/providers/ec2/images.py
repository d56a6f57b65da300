"""Machine images: the one that a launch names, or the latest Amazon Linux 2023."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from spawn.domain.errors import InvalidField, NotFound
from spawn.providers.ec2.asking import patiently
from spawn.providers.ec2.clients import Clients, code_of

FIELD = "--ami"

_ID = re.compile(r"ami-[0-9A-Za-z-]{1,60}")
_LATEST = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A machine image in a region."""

    id: str
    architecture: str
    root_device: str
    root_gib: int


def named_image(clients: Clients, region: str, image_id: str) -> Image:
    """The image that a user named; refused with one sentence when it is not there, not ready, or none that can be booted here."""
    if not _ID.fullmatch(image_id):
        raise InvalidField(FIELD, f"'{image_id[:60]}' is not the id of an image: expected one such as ami-0abcdef1234567890")
    entry = _described(clients, region, image_id)
    if entry is None:
        raise NotFound(f"--ami: there is no image {image_id} in {region} that this account may use: images have another id in each region")
    if entry.get("State") != "available":
        raise InvalidField(FIELD, f"{image_id} is {entry.get('State')}, not available: wait for it, or name another one")
    if entry.get("Platform", "").lower() == "windows":
        raise InvalidField(FIELD, f"{image_id} is a Windows image: spawn needs one of Linux, with systemd and Python 3.9 or later")
    return _image(entry)


def latest_image(clients: Clients, region: str, architecture: str) -> Image:
    """The latest Amazon Linux 2023 for an architecture, as AWS publishes it in a region."""
    name = _LATEST.format(architecture)
    action = f"look up the latest Amazon Linux 2023 in {region}"
    found = patiently(lambda: clients.client("ssm", region).get_parameter(Name=name), action=f"{action} (or name an image with --ami)")
    image_id = str(found["Parameter"]["Value"])
    entry = _described(clients, region, image_id)
    if entry is None:
        raise NotFound(f"{name} names {image_id}, which is not there: name an image with --ami")
    return _image(entry)


def _described(clients: Clients, region: str, image_id: str) -> dict[str, Any] | None:
    def ask() -> dict[str, Any] | None:
        try:
            images = clients.client("ec2", region).describe_images(ImageIds=[image_id])["Images"]
        except ClientError as error:
            if code_of(error) in ("InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"):
                return None
            raise
        return images[0] if images else None

    return patiently(ask, action=f"look up the image {image_id} in {region}")


def _image(entry: dict[str, Any]) -> Image:
    root = entry.get("RootDeviceName") or "/dev/xvda"
    sizes = [mapping.get("Ebs", {}).get("VolumeSize", 0) for mapping in entry.get("BlockDeviceMappings", ()) if mapping.get("DeviceName") == root]
    return Image(id=entry["ImageId"], architecture=entry.get("Architecture", "x86_64"), root_device=root, root_gib=max([*sizes, 1]))
