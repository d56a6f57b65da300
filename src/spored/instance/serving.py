"""`spored instance run`: finds out who this instance is and what it has to do, and is its agent."""

from __future__ import annotations

import fcntl
import os
import random
import select
import signal
import time
from typing import Callable

from spored.errors import CONFLICT, SporedError
from spored.instance.agent import Agent
from spored.instance.boots import find_boot, forget_another_instance
from spored.instance.config import Launch, read_launch
from spored.instance.credentials import RoleCredentials
from spored.instance.ledger import Memory
from spored.instance.machine import Machine, ec2_url
from spored.instance.metadata import DEFAULT_ENDPOINT, Identity, Metadata
from spored.instance.pauses import Pauses
from spored.instance.places import Places
from spored.instance.queue import Queue, queue_endpoint, queue_region
from spored.instance.s3 import Bucket, bucket_url
from spored.instance.service import Service
from spored.instance.signing import Scope
from spored.instance.surroundings import Surroundings
from spored.instance.talk import Talk
from spored.instance.web import Unreachable, Web

_METADATA_TIMEOUT_S = 5.0
_ASKED_AGAIN_S = 10.0
_AWS_TIMEOUT_S = 20.0


def serve(places: Places) -> int:
    """Be the agent of this instance until it ends. SporedError when the launch is not understood, or another agent is at work."""
    places.make()
    talk = Talk(places.log)
    # Until the loop hears signals, one is only kept in mind: what a former agent left running must be recorded even then.
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        _lock(places)
        launch = read_launch(places.launch)
        metadata = Metadata(os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or DEFAULT_ENDPOINT, Web(timeout_s=_METADATA_TIMEOUT_S))
        has_begun = os.path.exists(os.path.join(places.home, "ledger.jsonl"))
        identity = _identity(metadata, talk, lambda: bool(asked) and not has_begun)
        if identity is None:
            return 0
        return Agent(_surroundings(places, launch, metadata, identity, talk), is_terminated=lambda: bool(asked)).run()
    except SporedError as error:
        talk.note(str(error))
        raise


def _lock(places: Places) -> None:
    """Be the only agent here, as long as this process lives."""
    fd = os.open(os.path.join(places.home, "agent.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise SporedError(f"another agent works in {places.home}", CONFLICT) from None


def _identity(metadata: Metadata, talk: Talk, is_over: Callable[[], bool]) -> Identity | None:
    """Who this instance is; asked for until it is known, because nothing may run without. None: until there is no need to know any more."""
    pauses = Pauses(random.random)
    while not is_over():
        try:
            return metadata.identity()
        except Unreachable as error:
            talk.tell(f"this instance does not know yet who it is: {error}")
            select.select([], [], [], min(pauses.next(), _ASKED_AGAIN_S))
    return None


def _surroundings(places: Places, launch: Launch, metadata: Metadata, identity: Identity, talk: Talk) -> Surroundings:
    memory = forget_another_instance(places, Memory(os.path.join(places.home, "memory.json")), launch, identity)
    credentials = RoleCredentials(metadata, time.time)
    web = Web(timeout_s=_AWS_TIMEOUT_S)

    def service(name: str, region: str) -> Service:
        return Service(Scope(region, name), credentials, web, time.time, random.random)

    queue = None
    if launch.pool is not None:
        region = queue_region(launch.pool, launch.region)
        queue = Queue(launch.pool, queue_endpoint(region, launch.endpoints["sqs"]), service("sqs", region))
    ec2 = service("ec2", identity.region)
    return Surroundings(
        places=places,
        launch=launch,
        identity=identity,
        boot=find_boot(places, memory, launch, identity.powered_at, time.time()),
        memory=memory,
        talk=talk,
        metadata=metadata,
        bucket=Bucket(launch.bucket, bucket_url(launch.bucket, launch.region, launch.endpoints["s3"]), service("s3", launch.region)),
        queue=queue,
        machine=Machine(identity.instance_id, ec2, ec2_url(identity.region, launch.endpoints["ec2"]), talk.tell, places.root),
    )
