"""vCPU quotas: how much of which kind of instance may run in a region at once."""

from __future__ import annotations

import re
from typing import Final

from botocore.exceptions import ClientError

from spawn.domain.fleets import Market
from spawn.providers.ec2.asking import patiently
from spawn.providers.ec2.clients import Clients, code_of

_CODES: Final = {
    # by the letters that a family's name begins with: on-demand, spot
    "standard": ("L-1216C47A", "L-34B43A08"),
    "f": ("L-74FC7D96", "L-88CF9481"),
    "g": ("L-DB2E81BA", "L-3819A6DF"),
    "vt": ("L-DB2E81BA", "L-3819A6DF"),
    "p": ("L-417A185B", "L-7212CCBC"),
    "x": ("L-7295265B", "L-E3A00192"),
    "inf": ("L-1945791B", "L-B5D1601B"),
    "trn": ("L-2C3B7624", "L-6B0D517C"),
    "dl": ("L-6E869C2A", "L-85EED4F7"),
}
_P5_SPOT: Final = "L-C4BD4855"
_STANDARD: Final = frozenset("acdhimrtz")
_LETTERS = re.compile(r"[a-z]+")


def quota_code(family: str, market: Market) -> str | None:
    """The quota that instances of a family count against; None: one that is not known here, such as that of high-memory instances."""
    match = _LETTERS.match(family)
    letters = match[0] if match else ""
    if letters == "p" and market is Market.SPOT and family.startswith("p5"):
        return _P5_SPOT
    # `im4gn` and `is4gen` are of the I family, `gr6` and `g5` of the G family
    kind = "standard" if letters[:1] in _STANDARD and letters not in _CODES else letters if letters in _CODES else "g" if letters.startswith("g") else ""
    codes = _CODES.get(kind)
    return None if codes is None or letters.startswith(("hpc", "mac")) else codes[market is Market.SPOT]


def vcpu_quota(clients: Clients, region: str, code: str) -> float:
    """vCPUs that may run at once under a quota; SpawnError when it cannot be looked up."""
    service = clients.client("service-quotas", region)

    def ask() -> float:
        try:
            answer = service.get_service_quota(ServiceCode="ec2", QuotaCode=code)
        except ClientError as error:
            # an account for which nothing was ever changed has AWS's own value
            if code_of(error) != "NoSuchResourceException":
                raise
            answer = service.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode=code)
        return float(answer["Quota"]["Value"])

    return patiently(ask, action=f"look up the vCPU quota in {region}")
