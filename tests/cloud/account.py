"""An AWS account for one test: a laboratory whose instances really boot, and a user with a shell who is signed in to it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3

from spawn.client.client import Client
from spawn.testing.ec2lab.boot.plan import BootPlan, ImageFile
from spawn.testing.ec2lab.boot.sandboxes import RealMachines
from spawn.testing.ec2lab.instances import Life
from spawn.testing.ec2lab.lab import Lab
from spawn.testing.ec2lab.machines import Hypervisor
from spawn.testing.ec2lab.plan import Image, LabPlan
from tests.cloud.tutorial import BLENDER, SIMULATE, Example
from tests.system.conftest import Done, Shell, end_holder, eventually

BOOT = BootPlan(
    minute_s=60.0,
    shutdown_s=10.0,
    at_once=4,
    files={
        "*": {"/home/ec2-user/simulate.py": ImageFile(content=SIMULATE.encode(), mode=0o755)},
        "ami-blender": {"/usr/local/bin/blender": ImageFile(content=BLENDER.encode(), mode=0o755)},
    },
)
PLAN = LabPlan(images=(Image(id="ami-blender", name="blender on Amazon Linux 2023"),))


_LOOK_S = 0.1


class Account:
    """The laboratory, and `spawn` as its user types it."""

    def __init__(self, home: Path, lab: Lab, machines: RealMachines) -> None:
        self.lab = lab
        self.machines = machines
        self.shell = Shell(home)
        # the laboratory's stand-in for ssh comes first
        self.shell.environment |= {
            **lab.environment(),
            "SPAWN_PROVIDER": "ec2",
            "SPAWN_ENGINE_EC2_POLL": "1s",
            "PATH": f"{machines.ssh.parent}:{self.shell.environment['PATH']}",
        }
        self._region = lab.environment()["AWS_DEFAULT_REGION"]

    def __call__(self, *words: str, code: int | None = 0, timeout_s: float = 120.0, **environment: str) -> Done:
        """Run `spawn WORDS`."""
        return self.shell(*words, code=code, timeout_s=timeout_s, **environment)

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client of the account's user."""
        names = {"AWS_ACCESS_KEY_ID": "aws_access_key_id", "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key"}
        keys = {argument: self.shell.environment[name] for name, argument in names.items()}
        return boto3.client(service, endpoint_url=self.lab.endpoint, region_name=region or self._region, **keys)

    @property
    def bucket(self) -> str:
        """The bucket that spawn made in the account's own region."""
        return f"spawn-{self.lab.account}-{self._region}"

    def prepare(self, example: Example, size: int) -> None:
        """Make the world that an example expects."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=example.bucket)
        for pattern, text in example.inputs.items():
            for index in range(size) if "{index" in pattern else range(1):
                s3.put_object(Bucket=example.bucket, Key=pattern.format(index=index), Body=text.replace("{index}", str(index)).encode())
        for name, text in example.scripts.items():
            (self.shell.cwd / name).write_text(text)

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Every object below a prefix, by key."""
        s3 = self.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def launch(self, *words: str, **environment: str) -> str:
        """Launch, and return the array's id."""
        return self("launch", "-q", "--yes", *words, **environment).out.strip()

    def status(self, array: str) -> Mapping[str, Any]:
        """The array as JSON."""
        answer: Mapping[str, Any] = json.loads(self("status", array, "-o", "json", code=None).out)
        return answer

    def settled(self, array: str, *, within_s: float = 120.0) -> None:
        """Wait until every child has ended."""
        self("wait", array, code=None, timeout_s=within_s)

    def members(self, array: str) -> list[dict[str, Any]]:
        """Its members as JSON, in the order of their indexes."""
        return [json.loads(line) for line in self("list", "--array", array, "-o", "jsonl").lines]

    def until(self, ref: str, holds: Callable[[dict[str, Any]], object], *, within_s: float = 60.0) -> None:
        """Wait until something holds for each member."""
        array, _, indexes = ref.partition(":")

        def seen() -> list[dict[str, Any]]:
            return [json.loads(line) for block in self.asked.member_lines(array=array, indexes=indexes or None) for line in block.splitlines()]

        eventually(lambda: all(holds(member) for member in seen()), within_s=within_s, every_s=_LOOK_S)

    def until_told(self, array: str, words: str, *, within_s: float = 60.0) -> None:
        """Wait until `spawn status --why` has these words."""

        def is_told() -> bool:
            said = (self.asked.array(array), self.asked.why(array))
            return words in str(said) and words in self("status", array, "--why", code=None).out

        eventually(is_told, within_s=within_s, every_s=_LOOK_S)

    @property
    def asked(self) -> Client:
        """The engine, asked without a command: for looking again and again. One that was killed is started."""

        def start() -> None:
            self("engine", "start")

        return Client(self.shell.state, restart=start)

    def lives(self, array: str) -> list[Life]:
        """What became of the instances of an array, by EC2's own books, in the order of launching."""
        pages = self.client("ec2").get_paginator("describe_instances").paginate(Filters=[{"Name": "tag:spawn:array", "Values": [array]}])
        found = {one["InstanceId"] for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]}
        return [life for life in self.lab.lives() if life.instance_id in found]

    def gone(self, array: str, *, within_s: float = 60.0) -> None:
        """Wait until an array has had instances and none of them lives."""

        def is_gone() -> bool:
            lives = self.lives(array)
            return bool(lives) and all(life.ended_at is not None for life in lives)

        eventually(is_gone, within_s=within_s, every_s=0.2)

    def engine(self) -> int:
        """The process of the engine; it is started when it does not run."""
        return int(self.shell.engine()["pid"])

    def kill_engine(self) -> None:
        """kill -9."""
        self.shell.kill(self.engine())

    def close(self) -> None:
        """End the user's engines and runners, wherever they keep their state."""
        for state in [path.parent for path in self.shell.home.glob("*/engine.lock")]:
            # only an engine can tell a runner to end what it runs
            self("engine", "start", code=None, SPAWN_STATE_DIR=str(state))
            self("engine", "stop", "--terminate", "--yes", code=None, SPAWN_STATE_DIR=str(state))
            for lock in (state / "engine.lock", state / "runner" / "runner.lock"):
                end_holder(lock)


@contextmanager
def account(plan: LabPlan = PLAN, boot: BootPlan = BOOT, **changes: Any) -> Iterator[Account]:
    """An account for as long as the block lasts."""
    home = Path(tempfile.mkdtemp(prefix="spawn-cloud-"))
    made: list[RealMachines] = []

    def make(lab: Hypervisor) -> RealMachines:
        made.append(RealMachines(lab, plan=replace(boot, **changes), directory=home / "machines"))
        return made[0]

    try:
        with Lab(plan, machines=make, directory=home / "lab") as lab:
            user = home / "home"
            user.mkdir()
            one = Account(user, lab, made[0])
            try:
                yield one
            finally:
                one.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)
