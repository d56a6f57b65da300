"""The laboratory: an AWS account of one's own, on this machine, that costs nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from spawn.engine.ports import Clock
from spawn.machine import SystemClock
from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab.answering import Answering
from spawn.testing.ec2lab.behind import Moto
from spawn.testing.ec2lab.callers import Callers
from spawn.testing.ec2lab.calls import Calls
from spawn.testing.ec2lab.ec2 import Ec2
from spawn.testing.ec2lab.faults import Faults
from spawn.testing.ec2lab.fleet import Fleet
from spawn.testing.ec2lab.idle import NoMachines
from spawn.testing.ec2lab.images import Images
from spawn.testing.ec2lab.instance_actions import InstanceActions
from spawn.testing.ec2lab.instances import Life
from spawn.testing.ec2lab.launching import Launching
from spawn.testing.ec2lab.machines import Ending, Hypervisor, Machines, Ticking
from spawn.testing.ec2lab.market import Market
from spawn.testing.ec2lab.offers import Offers
from spawn.testing.ec2lab.placing import Placing
from spawn.testing.ec2lab.plan import Fault, LabPlan, SignedIn
from spawn.testing.ec2lab.queues import Queues
from spawn.testing.ec2lab.reporting import write_report
from spawn.testing.ec2lab.rights import Rights
from spawn.testing.ec2lab.serving import Server
from spawn.testing.ec2lab.stage import Stage
from spawn.testing.ec2lab.throttling import Throttle

_TICK_S: Final = 0.05


class Lab:
    """EC2, IAM, S3, SQS, SSM, STS, Service Quotas, Price List and EC2 Instance Connect, on a port of the loopback.

    Closed, it leaves `calls.jsonl` and `lives.json` in its directory, when it has one: what was asked, what ran and what that cost.

    With a ManualClock nothing happens by itself but what machines do: time goes on in `advance`. With any other clock a thread does what is due."""

    def __init__(
        self,
        plan: LabPlan | None = None,
        *,
        machines: Callable[[Hypervisor], Machines] | None = None,
        clock: Clock | None = None,
        directory: Path | None = None,
        port: int = 0,
    ) -> None:
        self.plan = plan or LabPlan()
        self.clock = clock or SystemClock()
        self.directory = directory
        self.account = f"{int.from_bytes(os.urandom(5), 'big') % 900_000_000_000 + 100_000_000_000}"
        self.calls = Calls()
        self._port = port
        self._make_machines = machines or NoMachines
        self._machines: Machines | None = None
        self._clocked: Ticking | None = None
        self._server: Server | None = None
        self._ticking: threading.Thread | None = None
        self._closing = threading.Event()
        self._join()

    def _join(self) -> None:
        self._stage = stage = Stage(self.plan, self.clock, self.account)
        self._moto = moto = Moto(self.account)
        self._market = market = Market(self.plan, stage.began)
        self._callers = Callers(stage)
        self._faults = Faults(self.plan.faults, self.plan.seed, stage.began)
        self._fleet = fleet = Fleet(stage, market, self._powered)
        throttle, images = Throttle(self.plan), Images(self.plan)
        self._rights = rights = Rights(moto, self.account, self.plan.forbidden)
        placing, offers = Placing(stage, fleet, market, moto, throttle), Offers(stage, market, images, moto)
        launching = Launching(stage, fleet, placing, images, moto, self._profile_age)
        instances = InstanceActions(stage, fleet, launching, placing, throttle, self.console)
        self._answering = Answering(
            stage=stage, moto=moto, callers=self._callers, rights=rights, faults=self._faults, calls=self.calls, offers=offers, images=images,
            ec2=Ec2(stage=stage, fleet=fleet, instances=instances, offers=offers, moto=moto, rights=rights, throttle=throttle, port=self._number),
            queues=Queues(stage, lambda: self.endpoint, self._sleep), sleep=self._sleep, port=self._number,
        )  # fmt: skip

    # --- its life -------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Open it. Again: nothing."""
        if self._server is None:
            unknown = [region for region in self.plan.regions if not self._moto.zones(region)]
            if unknown or not self.plan.regions:
                raise ValueError(
                    f"there is no region {', '.join(unknown)}; name regions of AWS, such as us-east-1" if unknown else "a laboratory needs a region"
                )
            self._server = Server(self._answering.respond, self._port)
            try:
                self._machines = self._make_machines(self)
                made: object = self._machines
                self._clocked = made if isinstance(made, Ticking) else None
            except BaseException:
                self._server.abandon()
                self._server = None
                raise
            self._server.start()
            if not isinstance(self.clock, ManualClock):
                self._ticking = threading.Thread(target=self._tick_on, name="ec2lab-clock", daemon=True)
                self._ticking.start()
        return self

    def close(self) -> None:
        """Cut every machine off and forget the account. Again: nothing."""
        if self._server is None or self._closing.is_set():
            return
        self._closing.set()
        if self._ticking is not None:
            self._ticking.join()
        self._stage.close()
        self._powered().close()
        self._server.close()
        if self.directory is not None:
            write_report(self.directory, self.calls, self.lives(), until=self._stage.now())
        self._moto.forget()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Where every service answers."""
        return f"http://127.0.0.1:{self._number()}"

    def environment(self) -> dict[str, str]:
        """What clients need to be told to use the laboratory as its user, and nothing else."""
        region = self.plan.regions[0]
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self._callers.access_key,
            "AWS_SECRET_ACCESS_KEY": self._callers.secret_key,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    # --- what tests look at and change ----------------------------------------------------------------------------------

    @property
    def failures(self) -> list[Exception]:
        """What went wrong in the laboratory itself. Tests want it empty."""
        return self._stage.failures

    def lives(self) -> list[Life]:
        """What became of every instance, in the order of launching."""
        with self._stage.acting():
            return self._fleet.lives()

    def console(self, instance_id: str) -> bytes:
        """What a machine wrote to its console; empty for machines that have none."""
        read = getattr(self._powered(), "console", None)
        return b"" if read is None else bytes(read(instance_id))

    def interrupt(self, instance_id: str) -> None:
        """Let the spot market take an instance back; ValueError when it is none that it could."""
        with self._stage.acting():
            if not self._fleet.interrupt(instance_id):
                raise ValueError(f"{instance_id} is no running spot instance, or has its notice already")

    def kill(self, instance_id: str) -> None:
        """Let the host of an instance fail."""
        with self._stage.acting():
            self._fleet.kill(instance_id)

    def set_capacity(self, count: int | None, *, zone: str = "*", type_: str = "*", spot: bool = False) -> None:
        """From now on so many instances fit (None: any number); those that run go on. `spot`: so many spot instances, of them."""
        with self._stage.acting():
            self._market.set_capacity(count, zone=zone, type_=type_, spot=spot)

    def set_spot_price(self, price: float, *, zone: str = "*", type_: str = "*") -> None:
        """From now on spot instances cost so much; those that bid less get their notice."""
        with self._stage.acting():
            self._market.set_spot_price(price, zone=zone, type_=type_, now=self._stage.now())
            self._fleet.reprice()

    def set_quota(self, code: str, value: float, *, region: str | None = None) -> None:
        """From now on so many vCPUs may run at once."""
        with self._stage.acting():
            self._market.set_quota(code, value, region)

    def sign_in(self, state: SignedIn) -> None:
        """From now on the user's credentials are valid, expired or unknown."""
        self._callers.signed_in = state

    def forbid(self, *permissions: str) -> None:
        """From now on the user may do all but these, such as `ec2:RunInstances` or `iam:*`; none: everything."""
        self._rights.forbidden = permissions

    def add_fault(self, fault: Fault) -> None:
        """From now on this goes wrong too."""
        self._faults.add(fault)

    def clear_faults(self) -> None:
        """From now on no call goes wrong."""
        self._faults.clear()

    # --- time -----------------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let a ManualClock go on, and do each thing at the moment at which it is due."""
        if not isinstance(self.clock, ManualClock):
            raise TypeError("only a ManualClock can be moved; any other goes on by itself")
        end = self._stage.now() + seconds
        while (due := self._due()) is not None and due <= end:
            self.clock.advance(max(0.0, due - self._stage.now()))
            self.clock.advance(0.001 if self._stage.now() < due else 0.0)
            self.tick()
        self.clock.advance(end - self._stage.now())
        self.tick()

    def tick(self) -> None:
        """Do all that is due by the clock; with a ManualClock also what machines have to do, where they have a `tick`."""
        self._stage.tick()
        while isinstance(self.clock, ManualClock) and (due := self._due()) is not None and due <= self._stage.now():
            if self._clocked is not None:
                self._clocked.tick(self._stage.now())
            self._stage.tick()

    def _due(self) -> float | None:
        """When the laboratory or its machines have something to do next."""
        theirs = self._clocked.due() if self._clocked is not None else None
        return min((due for due in (self._stage.due(), theirs) if due is not None), default=None)

    def _tick_on(self) -> None:
        while not self._closing.wait(_TICK_S):
            self._stage.tick()

    def _sleep(self, seconds: float) -> bool:
        """Let a client wait; False when time does not go on by itself, or not any more."""
        return not isinstance(self.clock, ManualClock) and not self._closing.wait(seconds)

    # --- what machines say (Hypervisor) ---------------------------------------------------------------------------------

    def running(self, instance_id: str) -> None:
        """The machine is up."""
        with self._stage.telling():
            self._fleet.running(instance_id)

    def ended(self, instance_id: str, ending: Ending) -> None:
        """The machine is off. Again: nothing."""
        with self._stage.telling():
            self._fleet.ended(instance_id, ending)

    def credentials(self, role: str) -> Mapping[str, str]:
        """New credentials of a role; KeyError when there is no such role."""
        self._moto.policies(role)
        return self._callers.issue(role)

    # --- inside ---------------------------------------------------------------------------------------------------------

    def _powered(self) -> Machines:
        if self._machines is None:
            raise RuntimeError("the laboratory has not been started")
        return self._machines

    def _number(self) -> int:
        if self._server is None:
            raise RuntimeError("the laboratory has not been started")
        return self._server.port

    def _profile_age(self, profile: str) -> float | None:
        return self._answering.profile_age(profile)
