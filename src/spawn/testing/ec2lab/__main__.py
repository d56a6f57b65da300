"""`python -m spawn.testing.ec2lab`: a laboratory until it is told to end. One line of JSON says where it is, a last one which calls were made."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from spawn.machine import SystemClock
from spawn.testing.ec2lab.idle import NoMachines
from spawn.testing.ec2lab.lab import Lab
from spawn.testing.ec2lab.machines import Hypervisor, Machines
from spawn.testing.ec2lab.plan import LabPlan, read_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 2 when the arguments are no good."""
    parser = argparse.ArgumentParser(prog="python -m spawn.testing.ec2lab", description="An AWS account of one's own on this machine, that costs nothing.")
    parser.add_argument("--directory", type=Path, required=True, help="where machines keep their files")
    parser.add_argument("--plan", type=Path, help="JSON: limits, prices, delays, faults")
    parser.add_argument("--port", type=int, default=0, help="on the loopback; 0: any that is free")
    parser.add_argument("--boot", choices=("real", "fake", "none"), default="real", help="whether machines really boot, act as if they did, or do nothing")
    chosen = parser.parse_args(arguments)
    try:
        plan = LabPlan() if chosen.plan is None else read_plan(chosen.plan)
        chosen.directory.mkdir(parents=True, exist_ok=True)
        lab = Lab(plan, machines=_machines(chosen.boot, plan, chosen.directory), directory=chosen.directory, port=chosen.port).start()
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with lab:
        _say({"endpoint": lab.endpoint, "environment": lab.environment(), "account": lab.account})
        ended.wait()
        if sys.stderr.isatty():
            sys.stderr.write("ending the machines, and removing what they left\n")
    _say({"calls": lab.calls.tally()})
    return 0


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _machines(boot: str, plan: LabPlan, directory: Path) -> Callable[[Hypervisor], Machines]:
    if boot == "real":
        from spawn.testing.ec2lab.boot.plan import BootPlan
        from spawn.testing.ec2lab.boot.sandboxes import CannotBoot, RealMachines

        settings = BootPlan(shutdown_s=plan.shutdown_s, **msgspec.structs.asdict(plan.boot))

        def real(hypervisor: Hypervisor) -> Machines:
            try:
                machines = RealMachines(hypervisor, plan=settings, directory=directory / "machines")
            except CannotBoot as error:
                raise ValueError(f"{error}; --boot fake acts machines instead") from error
            if machines.note:
                sys.stderr.write(f"{machines.note}\n")
            return machines

        return real
    if boot == "fake":
        from spawn.testing.ec2lab.boot.acted import ActedMachines
        from spawn.testing.ec2lab.boot.acts import ActPlan

        acts = ActPlan(seed=plan.seed, shutdown_s=plan.shutdown_s)
        return lambda hypervisor: ActedMachines(hypervisor, plan=acts, clock=SystemClock())
    return NoMachines


if __name__ == "__main__":
    sys.exit(main())
