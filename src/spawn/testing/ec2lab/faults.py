"""What goes wrong with calls, by rule or by chance."""

from __future__ import annotations

import random
import threading
from fnmatch import fnmatchcase

from spawn.testing.ec2lab.plan import Fault, FaultKind
from spawn.testing.ec2lab.requests import Request


class Faults:
    """The rules of a plan, and how often each has had its way. Rules can be added while the laboratory runs."""

    def __init__(self, rules: tuple[Fault, ...], seed: int, began: float) -> None:
        self._rules = list(rules)
        self._dice = random.Random(f"faults {seed}")
        self._began = began
        self._matched = [0] * len(rules)
        self._hit = [0] * len(rules)
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """From now on this goes wrong too."""
        with self._lock:
            self._rules.append(fault)
            self._matched.append(0)
            self._hit.append(0)

    def clear(self) -> None:
        """From now on nothing goes wrong."""
        with self._lock:
            self._rules, self._matched, self._hit = [], [], []

    def befall(self, request: Request, caller: str, now: float) -> dict[FaultKind, Fault]:
        """What goes wrong with this call."""
        with self._lock:
            return {rule.kind: rule for place, rule in enumerate(self._rules) if self._hits(place, rule, request, caller, now - self._began)}

    def _hits(self, place: int, rule: Fault, request: Request, caller: str, since: float) -> bool:
        named = fnmatchcase(request.service, rule.service) and fnmatchcase(request.action, rule.action) and fnmatchcase(caller, rule.caller)
        if not named or since < rule.from_s or (rule.until_s is not None and since >= rule.until_s):
            return False
        if rule.key != "*" and not (request.service == "s3" and fnmatchcase(request.key, rule.key)):
            return False
        self._matched[place] += 1
        if rule.nth is not None and self._matched[place] != rule.nth:
            return False
        if rule.times is not None and self._hit[place] >= rule.times:
            return False
        if rule.chance < 1 and self._dice.random() >= rule.chance:
            return False
        self._hit[place] += 1
        return True
