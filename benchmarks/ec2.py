"""Arrays on EC2, in the laboratory and on its clock: the calls that they take, the time to all-launched, and what the engine needs for that.

The engine has a process of its own, so that its CPU time and memory are its own; the laboratory and its acted instances are in this one, and time goes on
when the engine has nothing to do.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from benchmarks.figures import Figure, median, note
from spawn.domain.instants import Instant
from spawn.providers.ec2.clients import Clients, code_of
from spawn.testing.clock import ManualClock
from spawn.testing.ec2lab import Lab, LabPlan
from spawn.testing.ec2lab.boot.acted import ActedMachines
from spawn.testing.ec2lab.boot.acts import Act, ActPlan
from spawn.testing.ec2lab.boot.reaching import Direct

GOAL_CALLS = 10
GOAL_MIB = 300
GOAL_CORE = 0.25
"""Of a core, for as long as the array runs."""

LASTS_S = 300.0
ACTS = ActPlan(attempt=lambda _index, _attempt, _dice: Act(duration_s=LASTS_S), detail=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One array, from its submission until nothing of it is left."""

    cpu_s: float
    before_mib: float
    peak_mib: float
    wall_s: float
    launched_s: float  #: simulated, until the last instance was launched
    over_s: float  #: simulated, until nothing was left
    succeeded: int
    calls: Counter[str]  #: the engine's, by action
    polls: int  #: instants at which instances were described


def measure(*, quick: bool, rounds: int) -> list[Figure]:
    """1,000 children beside a launcher that makes a call for each, and 10,000 children."""
    many = 1_000 if quick else 10_000
    small = run(1_000)
    note(f"  1,000 children: {small.wall_s:.0f} s")
    one_by_one = launched_one_by_one(1_000)
    note(f"  one call for each: all launched after {one_by_one:.0f} simulated seconds")
    large = [run(many) for _ in range(1 if quick else rounds)]
    note(f"  {many:,} children: {large[-1].wall_s:.0f} s")
    figures = [
        _at_most("1,000 children: RunInstances calls", small.calls["RunInstances"], GOAL_CALLS),
        _at_most("… DescribeInstances calls for each poll (a page has 1,000)", small.calls["DescribeInstances"] / small.polls, 1),
        _at_most("… CreateTags calls for instances", small.calls["CreateTags"], 0),
        Figure(what="… time to all-launched under EC2's published buckets", command="", value=f"{small.launched_s:.1f} s"),
        Figure(what="… the same with a call for each instance, never throttled twice", command="", value=f"{one_by_one:.1f} s"),
        Figure(what="a call for each ÷ spawn", command="", value=_ratio(one_by_one, small.launched_s), goal="≥ 10", met=one_by_one >= 10 * small.launched_s),
    ]
    return figures + _of_many(many, large)


def _of_many(count: int, runs: list[Measured]) -> list[Figure]:
    cpu, peak = median([run.cpu_s for run in runs]), max(run.peak_mib for run in runs)
    first, each = runs[0], 1000 * median([run.cpu_s for run in runs]) / count
    calls = ", ".join(f"{number:,} {action}" for action, number in first.calls.most_common(6))
    return [
        Figure(what=f"{count:,} children: succeeded", command="", value=f"{first.succeeded:,}", goal=f"{count:,}", met=first.succeeded == count),
        Figure(
            what="… time to all-launched (1,000 at once, then 2 a second), and to the last end",
            command="",
            value=f"{first.launched_s:,.0f} s, {first.over_s:,.0f} s",
        ),
        Figure(what="… RunInstances calls", command="", value=f"{first.calls['RunInstances']:,}"),
        Figure(what="… DescribeInstances calls, in so many polls", command="", value=f"{first.calls['DescribeInstances']:,} in {first.polls:,}"),
        Figure(what="… all calls of the engine", command="", value=f"{sum(first.calls.values()):,}: {calls}"),
        Figure(what="… the engine's CPU time", command="", value=f"{cpu:.1f} s ({each:.1f} ms each)"),
        Figure(
            what="… of the simulated time",
            command="",
            value=f"{cpu / first.over_s:.0%} of a core",
            goal=f"≤ {GOAL_CORE:.0%}",
            met=cpu <= GOAL_CORE * first.over_s,
        ),
        Figure(
            what="… the engine's memory, before and at most",
            command="",
            value=f"{first.before_mib:.0f} MiB, {peak:.0f} MiB",
            goal=f"≤ {GOAL_MIB} MiB",
            met=peak <= GOAL_MIB,
        ),
    ]


def _at_most(what: str, value: float, goal: float) -> Figure:
    return Figure(what=what, command="", value=f"{value:g}", goal=f"≤ {goal:g}", met=value <= goal)


def _ratio(one: float, other: float) -> str:
    return f"{one / other:.1f}" if other else "all at once"


# --- the engine -------------------------------------------------------------------------------------------------------------


def run(count: int) -> Measured:
    """An array of so many children, each on an acted instance of its own."""
    clock = ManualClock()
    began = clock.now()

    def machines(hypervisor: Any) -> ActedMachines:
        return ActedMachines(hypervisor, plan=ACTS, clock=clock, services=Direct(hypervisor, account=hypervisor.account, lock=threading.RLock()))

    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="spawn-bench.") as directory, Lab(LabPlan(), machines=machines, clock=clock) as lab:
        ours, theirs = context.Pipe()
        process = context.Process(target=_engine, args=(theirs, lab.environment(), count, directory))
        wall = time.perf_counter()
        process.start()
        while isinstance(said := ours.recv(), float):
            lab.advance(said)
            ours.send(int(clock.now()))
        process.join()
        of_user = [call for call in lab.calls if call.caller == "user"]
        return Measured(
            **said,
            wall_s=time.perf_counter() - wall,
            launched_s=max(life.launched_at for life in lab.lives()) - began / 1000,
            over_s=(clock.now() - began) / 1000,
            calls=Counter(call.action for call in of_user if call.code != "DryRunOperation"),
            polls=len({call.at for call in of_user if call.action == "DescribeInstances"}),
        )


class _Afar:
    """The laboratory, as the engine's process reaches it."""

    def __init__(self, connection: Connection, clock: ManualClock, environment: Mapping[str, str]) -> None:
        self._connection = connection
        self._clock = clock
        self._environment = dict(environment)

    def environment(self) -> dict[str, str]:
        """What clients need to be told."""
        return self._environment

    def advance(self, seconds: float) -> None:
        """Let time go on there, and here with it."""
        self._connection.send(float(seconds))
        self._clock.at = Instant(self._connection.recv())


def _engine(connection: Connection, environment: Mapping[str, str], count: int, directory: str) -> None:
    from tests.cloud.faults.world import World

    clock = ManualClock()
    lab = cast(Lab, _Afar(connection, clock, environment))
    it = World(Path(directory), lab, clock, lambda: cast(ActedMachines, None), acts=ACTS, seed=0)
    before, began = _memory_mib("VmRSS"), time.process_time()
    job = it.launch(count, ttl_s=4 * 3600.0)
    it.run()
    array = it.array(job)
    succeeded = sum(array.status_of(position).name == "SUCCEEDED" for position in range(count))
    connection.send({"cpu_s": time.process_time() - began, "before_mib": before, "peak_mib": _memory_mib("VmHWM"), "succeeded": succeeded})


def _memory_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


# --- its peer ---------------------------------------------------------------------------------------------------------------


def launched_one_by_one(count: int) -> float:
    """Simulated seconds in which a launcher with a call for each instance has launched so many; refused, it asks again when there is a token."""
    from botocore.exceptions import ClientError

    clock = ManualClock()
    with Lab(LabPlan(), clock=clock) as lab:
        clients = Clients(lab.environment())
        ec2 = clients.client("ec2", "us-east-1")
        image = clients.client("ssm", "us-east-1").get_parameter(Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64")
        asked = {"ImageId": image["Parameter"]["Value"], "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        began, launched = clock.now(), 0
        while launched < count:
            try:
                ec2.run_instances(**asked, ClientToken=f"one-{launched}")
                launched += 1
            except ClientError as error:
                if code_of(error) != "RequestLimitExceeded":
                    raise
                lab.advance(0.5)
        return (clock.now() - began) / 1000
