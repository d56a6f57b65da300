"""Machines for tests that look at the API alone."""

from __future__ import annotations

from spawn.testing.ec2lab.machines import Ending, Hypervisor, Machine


class NoMachines:
    """Machines that run at once, do nothing, and end at once when they are told to."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor

    def boot(self, machine: Machine) -> None:
        """It runs."""
        self._hypervisor.running(machine.instance_id)

    def shut_down(self, instance_id: str, ending: Ending) -> None:
        """It has ended."""
        self._hypervisor.ended(instance_id, ending)

    def cut(self, instance_id: str) -> None:
        """Nothing runs in it anyway."""

    def notice(self, instance_id: str, action: str, at: float) -> None:
        """Nobody is there to read it."""

    def close(self) -> None:
        """Nothing is left."""
