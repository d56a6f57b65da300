"""The types, sizes and prices that the laboratory knows, as EC2 has them in us-east-1."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

X86: Final = "x86_64"
ARM: Final = "arm64"
GP3_GB_MONTH: Final = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """A type of instance."""

    name: str
    vcpus: int
    memory_mib: int
    architecture: str
    price: float  #: US dollars an hour, on demand, Linux, us-east-1

    @property
    def family(self) -> str:
        """`c7i` of `c7i.large`."""
        return self.name.partition(".")[0]

    @property
    def quota_class(self) -> str:
        """Which of EC2's vCPU quotas it counts against."""
        family = self.family
        if family.startswith(("g", "vt")):
            return "g"
        return "p" if family.startswith("p") else "standard"


ON_DEMAND_QUOTAS: Final = {"standard": "L-1216C47A", "g": "L-DB2E81BA", "p": "L-417A185B"}
SPOT_QUOTAS: Final = {"standard": "L-34B43A08", "g": "L-3819A6DF", "p": "L-7212CCBC"}
QUOTA_NAMES: Final = {
    "L-1216C47A": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    "L-DB2E81BA": "Running On-Demand G and VT instances",
    "L-417A185B": "Running On-Demand P instances",
    "L-34B43A08": "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
    "L-3819A6DF": "All G and VT Spot Instance Requests",
    "L-7212CCBC": "All P4, P3 and P2 Spot Instance Requests",
}
DEFAULT_QUOTA: Final = 100_000.0
"""vCPUs where the plan says nothing: room for 10,000 instances."""

_VCPUS: Final = {
    "medium": 1,
    "large": 2,
    "xlarge": 4,
    "2xlarge": 8,
    "4xlarge": 16,
    "8xlarge": 32,
    "12xlarge": 48,
    "16xlarge": 64,
    "24xlarge": 96,
    "48xlarge": 192,
}
_GIB_A_VCPU: Final = {"c": 2, "m": 4, "r": 8}
_LARGE: Final = {
    "c5": 0.085, "c6i": 0.085, "c6a": 0.0765, "c6g": 0.068, "c7i": 0.08925, "c7a": 0.10264, "c7g": 0.0725, "c8g": 0.07976,
    "m5": 0.096, "m6i": 0.096, "m6a": 0.0864, "m6g": 0.077, "m7i": 0.1008, "m7a": 0.11592, "m7g": 0.0816, "m8g": 0.08976,
    "r5": 0.126, "r6i": 0.126, "r6g": 0.1008, "r7i": 0.1323, "r7g": 0.1071,
}  # fmt: skip
_BURSTABLE: Final = {
    "nano": (2, 512),
    "micro": (2, 1024),
    "small": (2, 2048),
    "medium": (2, 4096),
    "large": (2, 8192),
    "xlarge": (4, 16384),
    "2xlarge": (8, 32768),
}
_BURSTABLE_NANO: Final = {"t3": 0.0052, "t3a": 0.0047, "t4g": 0.0042}
_GRAPHIC: Final = {
    "g4dn": {"xlarge": 0.526, "2xlarge": 0.752, "4xlarge": 1.204, "8xlarge": 2.176, "16xlarge": 4.352},
    "g5": {"xlarge": 1.006, "2xlarge": 1.212, "4xlarge": 1.624, "8xlarge": 2.448, "16xlarge": 4.096},
}
_REGION_FACTORS: Final = {"us-east-1": 1.0, "us-east-2": 1.0, "us-west-2": 1.0}
_FACTOR_ELSEWHERE: Final = 1.1
_SPOT_SHARE: Final = 0.35


def _architecture(family: str) -> str:
    return ARM if family.endswith("g") and len(family) > 2 else X86


@functools.cache
def instance_types() -> dict[str, InstanceType]:
    """Every type, by name."""
    types = list[InstanceType]()
    for family, large in _LARGE.items():
        architecture = _architecture(family)
        for size, vcpus in _VCPUS.items():
            if size == "medium" and architecture != ARM:
                continue
            memory = vcpus * _GIB_A_VCPU[family[0]] * 1024
            types.append(InstanceType(name=f"{family}.{size}", vcpus=vcpus, memory_mib=memory, architecture=architecture, price=round(large * vcpus / 2, 5)))
    for family, nano in _BURSTABLE_NANO.items():
        for doubled, (size, (vcpus, memory)) in enumerate(_BURSTABLE.items()):
            price = round(nano * 2**doubled, 4)
            types.append(InstanceType(name=f"{family}.{size}", vcpus=vcpus, memory_mib=memory, architecture=_architecture(family), price=price))
    types.append(InstanceType(name="t2.micro", vcpus=1, memory_mib=1024, architecture=X86, price=0.0116))
    for family, sizes in _GRAPHIC.items():
        types += [
            InstanceType(name=f"{family}.{size}", vcpus=_VCPUS[size], memory_mib=_VCPUS[size] * 4096, architecture=X86, price=price)
            for size, price in sizes.items()
        ]
    return {type_.name: type_ for type_ in types}


def regional(price: float, region: str) -> float:
    """A price of us-east-1 in another region."""
    return round(price * _REGION_FACTORS.get(region, _FACTOR_ELSEWHERE), 5)


def usual_spot_price(price: float, zone: str) -> float:
    """A spot price where the plan says nothing: about a third, and a little dearer from zone to zone."""
    return round(price * (_SPOT_SHARE + 0.01 * (ord(zone[-1]) - ord("a"))), 4)
