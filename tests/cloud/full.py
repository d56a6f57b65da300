"""`python -m tests.cloud.full files|frames|simulations [SIZE]`: an example of the tutorial at the size that is printed there, counted as it goes on.

It takes about two seconds of processor time for an instance: it is not part of the tests.
"""

from __future__ import annotations

import subprocess
import sys
import time

import msgspec

from spawn.testing.ec2lab.plan import LabPlan
from tests.cloud.account import BOOT, PLAN, Account, account
from tests.cloud.tutorial import FILES, FRAMES, SIMULATIONS, Example

EXAMPLES = {"files": FILES, "frames": FRAMES, "simulations": SIMULATIONS}
QUOTAS = {"L-1216C47A": 20_000.0, "L-34B43A08": 20_000.0}


def counted(user: Account, array: str, state: str = "") -> int:
    """What `spawn list --tag array:id=… [--state …] | wc -l` prints."""
    line = f"spawn list --tag array:id={array} {f'--state {state}' if state else ''} | wc -l"
    return int(subprocess.run(["bash", "-c", line], env=user.shell.environment, capture_output=True, text=True, check=True).stdout)


def follow(user: Account, array: str, size: int) -> None:
    """Count every ten seconds until all are terminated; fail when a count is wrong."""
    before, began = 0, time.monotonic()
    while True:
        total, running, terminated = counted(user, array), counted(user, array, "running"), counted(user, array, "terminated")
        sys.stdout.write(f"{time.monotonic() - began:6.0f} s  total {total}  running {running}  terminated {terminated}\n")
        sys.stdout.flush()
        assert total == size, "every member is listed, from the beginning to after the end"
        assert terminated >= before, "what is gone stays gone"
        if terminated == size:
            return
        before = terminated
        time.sleep(10)


def run(name: str, size: int) -> None:
    """One example at a size."""
    example: Example = EXAMPLES[name]
    with account(replace_quotas(), BOOT, at_once=6) as user:
        user.prepare(example, size)
        words = example.words(size)
        array = user(*words[:1], "-q", "--yes", *words[1:], timeout_s=600).out.strip()
        follow(user, array, size)
        user.gone(array, within_s=120)
        status = user.status(array)
        made = user.objects(example.bucket, example.outputs.split("/")[0])
        calls = user.lab.calls
        sys.stdout.write(f"{name}: {status['status']}, {len(made)} results of {size}, {len(user.lab.lives())} instances\n")
        for action in ("RunInstances", "DescribeInstances", "TerminateInstances", "CreateTags"):
            tries = calls.count(action, code="DryRunOperation")
            sys.stdout.write(f"  {action}: {calls.count(action) - tries}{f' and {tries} dry run' if tries else ''}\n")
        sys.stdout.write(user("cost", array, code=None).out)
        missing = {example.outputs.format(index=index) for index in range(size)} - set(made)
        assert not missing, sorted(missing)[:5]
        assert status["status"] == "SUCCEEDED", user("status", array, code=None).out


def replace_quotas() -> LabPlan:
    """The account's usual plan with room for a thousand instances."""
    return msgspec.structs.replace(PLAN, quotas=QUOTAS)


if __name__ == "__main__":
    chosen = sys.argv[1]
    run(chosen, int(sys.argv[2]) if len(sys.argv) > 2 else EXAMPLES[chosen].size)
