"""The machine images of a region, and the SSM parameters that name the latest of them."""

from __future__ import annotations

import re
from hashlib import sha256

from spawn.testing.ec2lab.catalogue import ARM, X86
from spawn.testing.ec2lab.plan import Image, LabPlan
from spawn.testing.ec2lab.refusals import Refused

_ID = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})")
_AL2023 = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"


class Images:
    """Amazon Linux 2023 for both architectures, an Ubuntu, and what the plan adds."""

    def __init__(self, plan: LabPlan) -> None:
        self._added = plan.images

    def of(self, region: str) -> dict[str, Image]:
        """By id."""
        own = [Image(id=_id(region, f"al2023-{arch}"), architecture=arch, name=f"al2023-ami-2023.9.20260120.0-kernel-6.1-{arch}") for arch in (X86, ARM)] + [
            Image(id=_id(region, "ubuntu-24.04"), name="ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260115", root_device="/dev/sda1")
        ]
        return {image.id: image for image in [*own, *self._added]}

    def parameters(self, region: str) -> dict[str, str]:
        """The public SSM parameters that name images."""
        return {_AL2023.format(arch): _id(region, f"al2023-{arch}") for arch in (X86, ARM)} | {
            "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id": _id(region, "ubuntu-24.04")
        }

    def find(self, image_id: str, region: str) -> Image:
        """The image; Refused when there is none, in EC2's words."""
        image = self.of(region).get(image_id)
        if image is not None:
            return image
        if not _ID.fullmatch(image_id):
            raise Refused("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
        raise Refused("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")


def _id(region: str, name: str) -> str:
    return f"ami-{sha256(f'{region}/{name}'.encode()).hexdigest()[:17]}"
