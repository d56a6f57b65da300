"""What happens in a simulation: the launch, what its attempts do, what befalls machines and calls, what its user asks, when the engine dies."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from spawn.domain.fleets import Distribution
from spawn.domain.instants import Instant
from spawn.domain.jobs import Job
from spawn.engine import commands
from spawn.engine.state import EngineState
from spawn.testing.ec2lab import LabPlan
from spawn.testing.ec2lab.boot.acts import Act, ActPlan, Life
from spawn.testing.ec2lab.plan import Fate, FateKind, Fault, FaultKind
from tests.cloud.faults.checking import check
from tests.cloud.faults.world import Command, World, failed_of, world

TTL_S = 600.0
QUIET_S = 900.0
"""From then on no call fails any more: whatever is to come to an end can."""

LOST, CUT, BROKEN, AWAY = FaultKind.LOST_ANSWER, FaultKind.DROPPED, FaultKind.BROKEN, FaultKind.UNAVAILABLE
THROTTLED, DENIED, TWICE = FaultKind.THROTTLED, FaultKind.DENIED, FaultKind.DUPLICATED

WHERE: tuple[tuple[str, str, float, tuple[FaultKind, ...]], ...] = (
    ("ec2", "RunInstances", 0.5, (LOST, CUT, THROTTLED, BROKEN, AWAY, DENIED)),
    ("ec2", "Describe*", 0.3, (CUT, THROTTLED, BROKEN, DENIED)),
    ("ec2", "TerminateInstances", 0.6, (LOST, THROTTLED, DENIED)),
    ("s3", "PutObject", 0.2, (LOST, CUT, THROTTLED, DENIED)),
    ("s3", "GetObject", 0.2, (CUT, BROKEN, DENIED)),
    ("s3", "*", 0.15, (LOST, AWAY)),
    ("sqs", "*", 0.2, (LOST, CUT, AWAY)),
    ("sqs", "ReceiveMessage", 0.5, (TWICE,)),
    ("iam", "*", 0.2, (LOST, CUT, THROTTLED, AWAY, DENIED)),
)
CALLS: tuple[Fault, ...] = tuple(
    Fault(kind=kind, service=service, action=action, chance=chance, until_s=QUIET_S) for service, action, chance, kinds in WHERE for kind in kinds
)
"""Every fault of calls, each where it can hurt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole simulation."""

    seed: int = 0
    size: int = 4
    fleet: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    plan: LabPlan = field(default_factory=LabPlan)
    faults: tuple[Fault, ...] = ()
    acts: ActPlan = field(default_factory=ActPlan)
    wishes: tuple[tuple[float, str, float], ...] = ()  #: when, what, and a number between 0 and 1 that says to whom
    kills: tuple[int, ...] = ()
    away_s: tuple[float, float] = (0.0, 60.0)
    slow: float = 0.0  #: the chance that the engine is held up at a call, for up to 20 s
    direct: bool = False  #: instances reach the bucket without a call, where calls of theirs are not what is tried

    def play(self, directory: Any) -> World:
        """Run it to its end and check all that must be true then."""
        directory.mkdir(exist_ok=True)
        with world(directory, plan=self.plan, acts=self.acts, seed=self.seed, direct=self.direct) as it:
            dice = random.Random(f"engine {self.seed}")
            job = it.launch(self.size, ttl_s=TTL_S, fleet=self.fleet, **self.asked)
            for fault in self.faults:
                it.lab.add_fault(fault)
            for when, what, whom in self.wishes:
                it.at(when, _wish(it, job, what, whom))
            it.away_s = lambda: dice.uniform(*self.away_s)
            if self.slow:
                it.slow_s = lambda moment: dice.uniform(1, 20) if moment.startswith("after ") and "_" in moment and dice.random() < self.slow else 0.0
            it.axe.fall(list(self.kills))
            it.run()
            check(it)
            return it


def _wish(it: World, job: Job, what: str, whom: float) -> Command:
    some = [position for position in range(job.size) if (position * 0.37 + whom) % 1 < 0.5]
    positions = None if whom < 0.3 else some
    match what:
        case "cancel":
            return partial(commands.cancel, job=job.id, positions=positions, reason="its user canceled it", dry_run=False)
        case "terminate":
            return partial(commands.terminate, job=job.id, positions=positions, reason="its user ended it", grace_s=None, dry_run=False)
        case "extend":
            return partial(_extend, it, job, positions, 300 + 600 * whom)
        case "retry":
            return lambda state: commands.retry(state, job.id, failed_of(state, job), dry_run=False)
        case "limit":
            return partial(commands.limit, job=job.id, max_concurrent=1 + int(whom * 4))
    raise ValueError(what)


def _extend(it: World, job: Job, positions: list[int] | None, ttl_s: float, state: EngineState) -> object:
    to = Instant(state.now + round(ttl_s * 1000))
    it.extended_to = max(to, it.extended_to or to)
    return commands.extend(state, job.id, positions, ttl_s=ttl_s, dry_run=False)


# --- by chance --------------------------------------------------------------------------------------------------------------


def drawn(seed: int, *, kills: bool = True) -> Scenario:
    """A scenario in which anything may happen, alone and together."""
    dice = random.Random(f"scenario {seed}")
    size = dice.randint(1, 5)
    fleet: dict[str, Any] = {}
    shape = dice.choice(["alone", "alone", "static", "dynamic"])
    if shape != "alone":
        fleet |= {"instances": dice.randint(1, min(3, size)), "distribute": Distribution(shape)}
        fleet |= {"per_instance": dice.randint(1, 3)} if dice.random() < 0.5 else {}
    if dice.random() < 0.4:
        fleet |= {"spot": True, "spot_retries": dice.randint(0, 2), "on_demand_fallback": dice.random() < 0.5}
    asked: dict[str, Any] = {"retries": dice.randint(0, 2), "on_complete": dice.choice(["terminate"] * 4 + ["stop", "none"])}
    asked |= {"max_concurrent": dice.randint(1, 3)} if dice.random() < 0.3 else {}
    asked |= {"max_failures": str(dice.randint(0, 2))} if dice.random() < 0.2 else {}
    return Scenario(
        seed=seed,
        size=size,
        fleet=fleet,
        asked=asked,
        plan=_plan(dice, seed),
        faults=tuple(dice.sample(CALLS, dice.choice([0, 1, 2, 3, 5]))),
        acts=_acts(seed, dice.random() < 0.5),
        wishes=tuple(
            (dice.uniform(0, 600), dice.choice(["cancel", "terminate", "extend", "retry", "retry", "limit"]), dice.random())
            for _ in range(dice.choice([0, 0, 1, 2, 4]))
        ),
        kills=tuple(int(dice.expovariate(1 / dice.choice([10, 60, 200]))) for _ in range(dice.choice([0, 1, 2, 5]))) if kills else (),
        away_s=dice.choice([(0.0, 10.0), (10.0, 300.0), (300.0, 5000.0)]),
        slow=dice.choice([0.0, 0.0, 0.05]),
    )


def _plan(dice: random.Random, seed: int) -> LabPlan:
    plan: dict[str, Any] = {
        "seed": seed,
        "pending_s": dice.choice([0.0, 5.0]),
        "describe_lag_s": dice.choice([0.0, 20.0]),
        "profile_lag_s": dice.choice([0.0, 10.0]),
    }
    if dice.random() < 0.2:
        plan["quotas"] = {"L-1216C47A": dice.choice([2.0, 4.0])}
    if dice.random() < 0.2:
        plan["capacity"] = {"*/t3.micro": dice.randint(1, 2)}
    if dice.random() < 0.2:
        plan["spot_capacity"] = {"*/t3.micro": 1}
    fates = [Fate(kind=kind, chance=0.3, after_s=dice.uniform(0, 60), within_s=300.0) for kind in FateKind if dice.random() < 0.4]
    return LabPlan(**plan, fates=tuple(fates))


def _acts(seed: int, is_hard: bool) -> ActPlan:
    def attempt(index: int, number: int, dice: random.Random) -> Act:
        code = dice.choice([0, 0, 0, 1, 3, None])
        lasts = dice.choice([0.0, 5.0, 60.0, 150.0, 700.0 if is_hard else 30.0])
        completed = (dice.choice(["success", "failure"]), "a message") if is_hard and dice.random() < 0.3 else None
        log = b"a line\n" * dice.choice([0, 3])
        return Act(duration_s=lasts, code=code, signal=9 if code is None else None, completed=completed, completed_after_s=lasts / 3, log=log)

    def machine(nth: int, dice: random.Random) -> Life:
        life: dict[str, Any] = {"running_s": dice.uniform(1, 15), "ready_s": dice.uniform(15, 60)}
        if is_hard and dice.random() < 0.1:
            life["checks_in"] = False
        if is_hard and dice.random() < 0.1:
            life["dies_s"] = dice.uniform(0, 400)
        if is_hard and dice.random() < 0.2:
            begins = dice.uniform(0, 120)
            life["cannot_write"] = (begins, begins + dice.choice([60.0, 400.0, 1e9]))
        return Life(**life)

    return ActPlan(seed=seed, attempt=attempt, machine=machine)
