"""All instances: how they come, change and go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial

from spawn.testing.ec2lab.catalogue import ON_DEMAND_QUOTAS, SPOT_QUOTAS, instance_types
from spawn.testing.ec2lab.instances import LIVE, ON, Cause, Instance, Life, State, Volume
from spawn.testing.ec2lab.machines import Ending, Machines
from spawn.testing.ec2lab.market import Market
from spawn.testing.ec2lab.plan import FateKind
from spawn.testing.ec2lab.stage import Stage

_CAUSES = {Ending.SHUTDOWN: Cause.INSIDE, Ending.API: Cause.USER, Ending.INTERRUPTED: Cause.SPOT, Ending.DIED: Cause.HOST}


class Fleet:
    """Every method is called with the stage held, but for those that machines call."""

    def __init__(self, stage: Stage, market: Market, machines: Callable[[], Machines]) -> None:
        self._stage = stage
        self._market = market
        self._machines = machines
        self._shown: dict[str, Instance] = {}
        self._past: list[Instance] = []
        self.volumes: dict[str, Volume] = {}
        self.launched = 0
        for when in market.moves():
            stage.at(when, self.reprice)

    # --- looking --------------------------------------------------------------------------------------------------------

    def get(self, instance_id: str, region: str) -> Instance | None:
        """An instance that can be seen by now."""
        found = self._shown.get(instance_id)
        return found if found is not None and found.region == region and found.seen_from <= self._stage.now() else None

    def find(self, instance_id: str) -> Instance:
        """An instance wherever it is, seen or not; KeyError."""
        return self._shown[instance_id]

    def seen(self, region: str) -> Iterator[Instance]:
        """What DescribeInstances may show."""
        now = self._stage.now()
        return (each for each in self._shown.values() if each.region == region and each.seen_from <= now)

    def vcpus(self, region: str, quota: str) -> int:
        """vCPUs in use that count against a quota."""
        return sum(each.machine.vcpus for each in self._shown.values() if each.region == region and each.state in LIVE and quota_of(each) == quota)

    def taken(self, zone: str, type_: str, *, spot: bool | None) -> int:
        """How many instances of a type are in a zone; only spot instances, or all."""
        return sum(
            1
            for each in self._shown.values()
            if each.machine.zone == zone and each.machine.type == type_ and each.state in LIVE and (spot is None or each.machine.spot == spot)
        )

    def addresses(self, subnet: str) -> int:
        """How many addresses of a subnet are in use."""
        return sum(1 for each in self._shown.values() if each.subnet == subnet and each.state is not State.TERMINATED)

    def lives(self) -> list[Life]:
        """What became of every instance, in the order of launching."""
        return [self._life(each) for each in sorted([*self._past, *self._shown.values()], key=lambda each: each.number)]

    def _life(self, one: Instance) -> Life:
        machine = one.machine
        return Life(
            instance_id=one.id, region=one.region, zone=machine.zone, type=machine.type, spot=machine.spot, token=machine.token, state=one.state.word,
            launched_at=one.launched_at, ended_at=one.ended_at, charges=tuple(one.charges),
            volume_gb=one.volume_gb,
        )  # fmt: skip

    # --- coming ---------------------------------------------------------------------------------------------------------

    def add(self, instances: Collection[Instance], volumes: Collection[Volume]) -> None:
        """Launch instances that are there already in every other respect."""
        self.volumes |= {volume.id: volume for volume in volumes}
        for instance in instances:
            self._shown[instance.id] = instance
            self._doom(instance)
            self._power_on(instance)

    def start(self, instance: Instance) -> None:
        """Let a stopped instance run again."""
        now = self._stage.now()
        instance.started_at = now
        instance.interrupted_at = None
        instance.powered = False
        instance.move(State.PENDING, Cause.STARTING, now)
        self._power_on(instance)

    def _power_on(self, instance: Instance) -> None:
        def on() -> None:
            if instance.state is State.PENDING:
                instance.powered = True
                machine = replace(instance.machine, tags=dict(instance.tags), shutdown_behavior=instance.shutdown_behavior)
                self._stage.afterwards(lambda: self._machines().boot(machine))

        if self._stage.plan.pending_s > 0:
            self._stage.at(self._stage.now() + self._stage.plan.pending_s, on)
        else:
            on()

    def _doom(self, instance: Instance) -> None:
        for fate in self._stage.plan.fates:
            hit = fate.nth == instance.number if fate.nth is not None else self._stage.dice.random() < fate.chance
            if hit:
                when = self._stage.now() + fate.after_s + self._stage.dice.random() * fate.within_s
                self._stage.at(when, partial(self._befall, instance.id, fate.kind))

    def _befall(self, instance_id: str, kind: FateKind) -> None:
        if instance_id not in self._shown:
            return
        match kind:
            case FateKind.INTERRUPTED:
                self.interrupt(instance_id)
            case FateKind.DIES:
                self.kill(instance_id)
            case FateKind.NO_ROOM:
                self.find_no_room(instance_id)

    # --- what machines say ----------------------------------------------------------------------------------------------

    def running(self, instance_id: str) -> None:
        """It is up."""
        instance = self._shown.get(instance_id)
        if instance is not None and instance.state is State.PENDING:
            instance.move(State.RUNNING, None, self._stage.now())
            instance.charge(self._price(instance), self._stage.now())

    def ended(self, instance_id: str, ending: Ending) -> None:
        """It is off."""
        instance = self._shown.get(instance_id)
        if instance is None or instance.state in (State.TERMINATED, State.STOPPED):
            return
        stays = instance.state is State.STOPPING or (instance.state in ON and ending is Ending.SHUTDOWN and instance.shutdown_behavior == "stop")
        cause = instance.cause if instance.state in (State.STOPPING, State.SHUTTING_DOWN) else _CAUSES[ending]
        transition = instance.transition if instance.state in (State.STOPPING, State.SHUTTING_DOWN) else None
        self._off(instance, State.STOPPED if stays else State.TERMINATED, cause)
        if transition is not None:
            instance.transition = transition

    # --- going ----------------------------------------------------------------------------------------------------------

    def terminate(self, instance: Instance) -> None:
        """As TerminateInstances does. Terminated already: nothing."""
        if instance.state is State.STOPPED:
            self._off(instance, State.TERMINATED, Cause.USER)
        elif instance.state in (State.PENDING, State.RUNNING, State.STOPPING):
            self._wind_down(instance, State.SHUTTING_DOWN, Cause.USER, Ending.API)

    def stop(self, instance: Instance) -> None:
        """As StopInstances does. Stopping or stopped already: nothing."""
        if instance.state is State.RUNNING:
            self._wind_down(instance, State.STOPPING, Cause.USER, Ending.API)

    def interrupt(self, instance_id: str) -> bool:
        """The spot market takes an instance back: notice now, and the end when the notice is over. False: it is none that can be."""
        instance = self._shown[instance_id]
        if not instance.machine.spot or instance.state not in ON or instance.interrupted_at is not None:
            return False
        instance.interrupted_at = end = self._stage.now() + self._stage.plan.notice_s
        self._stage.afterwards(lambda: self._machines().notice(instance_id, "terminate", end))
        self._stage.at(end, lambda: self._take_back(instance))
        return True

    def kill(self, instance_id: str) -> None:
        """Its host fails. Off already: nothing."""
        instance = self._shown[instance_id]
        if instance.state in LIVE:
            self._stage.afterwards(lambda: self._machines().cut(instance_id))
            self._off(instance, State.TERMINATED, Cause.HOST)

    def find_no_room(self, instance_id: str) -> None:
        """There is no room for it after all. Up already, or gone: nothing."""
        instance = self._shown[instance_id]
        if instance.state is State.PENDING:
            self._stage.afterwards(lambda: self._machines().cut(instance_id))
            self._off(instance, State.TERMINATED, Cause.NO_ROOM)

    def reprice(self) -> None:
        """Spot prices have moved: charge the new ones, and take back what bids less."""
        for instance in list(self._shown.values()):
            if instance.machine.spot and instance.state in ON:
                price = self._price(instance)
                if instance.max_price is not None and price > instance.max_price:
                    self.interrupt(instance.id)
                elif instance.state is State.RUNNING and instance.charges[-1].price != price:
                    instance.charge(price, self._stage.now())

    def _take_back(self, instance: Instance) -> None:
        if instance.state in ON:
            self._wind_down(instance, State.SHUTTING_DOWN, Cause.SPOT, Ending.INTERRUPTED)

    def _wind_down(self, instance: Instance, state: State, cause: Cause, ending: Ending) -> None:
        now = self._stage.now()
        instance.move(state, cause, now)
        instance.stop_charging(now)
        if instance.powered:
            self._stage.afterwards(lambda: self._machines().shut_down(instance.id, ending))
        else:
            self._off(instance, State.TERMINATED, cause)

    def _off(self, instance: Instance, state: State, cause: Cause | None) -> None:
        now = self._stage.now()
        instance.move(state, cause, now)
        instance.stop_charging(now)
        if state is State.TERMINATED:
            instance.ended_at = now
            self._release_volumes(instance)
            self._stage.at(now + self._stage.plan.visible_s, lambda: self._past.append(self._shown.pop(instance.id)))

    def _release_volumes(self, instance: Instance) -> None:
        for volume in [self.volumes[each] for each in instance.volumes if each in self.volumes]:
            volume.instance_id = None
            if volume.deleted_with_instance:
                del self.volumes[volume.id]

    def _price(self, instance: Instance) -> float:
        machine = instance.machine
        type_ = instance_types()[machine.type]
        if machine.spot:
            return self._market.spot(type_, machine.zone, self._stage.now())
        return self._market.on_demand(type_, machine.region)


def quota_of(instance: Instance) -> str:
    """The quota that an instance counts against."""
    kind = instance_types()[instance.machine.type].quota_class
    return (SPOT_QUOTAS if instance.machine.spot else ON_DEMAND_QUOTAS)[kind]
