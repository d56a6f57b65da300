"""Objects as the engine answers them, held to docs/schema."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"

STATUSES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")


def check(name: str, value: Any) -> None:
    """Hold a value to one of the documented schemas."""
    _validator(name).validate(value)


@cache
def _validator(name: str) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def array(array_id: str = "array-20260127-100000", **changes: Any) -> dict[str, Any]:
    """An Array of five that runs."""
    counts = dict.fromkeys(STATUSES, 0) | changes.pop("counts", {"RUNNING": 5})
    value = {
        "schema_version": 1,
        "array_id": array_id,
        "name": "my-array",
        "kind": "array",
        "size": 5,
        "indexes": "0-4",
        "provider": "local",
        "status": "PENDING",
        "status_reason": None,
        "created_at": "2026-01-27T10:00:00Z",
        "started_at": "2026-01-27T10:00:01Z",
        "stopped_at": None,
        "counts": counts,
        "instances": {"running": 5},
        "lost": 0,
        "cancelled": 0,
        "max_concurrent": None,
        "ttl_s": None,
        "timeout_s": None,
        "on_complete": None,
        "retries": 0,
        "max_failures": None,
        "tags": {},
        "depends_on": [],
        "sequential": False,
        "private_tmp": None,
        "cpus": 1,
        "memory_mib": None,
        "command": ["true"],
        "script": False,
        "env": [],
        "workdir": "/",
        "cloud": {},
        "directory": "/state/a",
        "rate_per_s": None,
        "seconds_left": None,
        "notes": [],
    }
    value |= changes
    check("array", value)
    return value


def member(index: int | None, array_id: str = "array-20260127-100000", **changes: Any) -> dict[str, Any]:
    """One that runs."""
    value = {
        "schema_version": 1,
        "array_id": array_id,
        "name": "my-array" if index is None else f"my-array-{index}",
        "index": index,
        "id": array_id if index is None else f"{array_id}:{index}",
        "instance_id": f"i-{index or 0:017x}",
        "state": "running",
        "status": "RUNNING",
        "status_reason": None,
        "exit_code": None,
        "reason": None,
        "attempt": 1,
        "lost": False,
        "created_at": "2026-01-27T10:00:00Z",
        "started_at": "2026-01-27T10:00:01Z",
        "stopped_at": None,
        "age_s": 61.5,
        "tags": {},
    }
    value |= changes
    check("member", value)
    return value


def attempt(number: int = 1, **changes: Any) -> dict[str, Any]:
    """One that succeeded and left nothing."""
    return {
        "attempt": number,
        "status": "SUCCEEDED",
        "instance_id": f"i-{number:017x}",
        "status_reason": None,
        "exit_code": 0,
        "signal": None,
        "reason": None,
        "message": None,
        "started_at": "2026-01-27T10:00:01Z",
        "stopped_at": "2026-01-27T10:00:02Z",
        "cpu_s": 0.1,
        "max_rss_kib": 1024,
        "log": None,
        "output": None,
        "lost": False,
    } | changes


def failure(count: int, indexes: str, **changes: Any) -> dict[str, Any]:
    """A group that ended with exit code 1."""
    value = {
        "count": count,
        "indexes": indexes,
        "exit_code": 1,
        "signal": None,
        "status_reason": "Essential container in task exited",
        "reason": None,
        "example": {"index": 3, "attempt": 1, "log_tail": ["line one", "cannot read input"]},
    } | changes
    check("failure-group", value)
    return value


def engine(**changes: Any) -> dict[str, Any]:
    """The engine of this version."""
    from spawn import __version__

    return {
        "schema_version": 1,
        "pid": 4321,
        "runner_pid": 4322,
        "socket": "/state/engine.sock",
        "store": "/state/spawn.db",
        "version": __version__,
        "started_at": "2026-01-27T09:00:00Z",
        "idle_exit_s": 3600,
        "arrays": {"active": 1, "total": 2},
        "children": {"running": 2, "queued": 3},
        "capacity": {"cpus": 2, "memory_mib": 4096, "cpus_used": 2, "memory_mib_used": 0},
        "features": {"private_tmp": None, "memory_limit": "no writable cgroup"},
        "instances": 0,
    } | changes


PAIR = {"access_key_id": "AKIA" + "A2" * 8, "secret_access_key": "a+/Z" * 10}


def endpoint(**changes: Any) -> dict[str, Any]:
    """One that is open."""
    value = {
        "schema_version": 1,
        "open": True,
        "url": "http://127.0.0.1:8642",
        "host": "127.0.0.1",
        "port": 8642,
        "verify": True,
        "certfile": None,
        "keyfile": None,
        "access_key_ids": [],
        "reason": None,
    } | changes
    check("endpoint", value)
    return value


PRICE = {"usd": 0.0104, "source": "AWS Price List", "as_of": "2026-01-27"}
SPOT_PRICE = {"usd": 0.0031, "source": "spot price history", "as_of": "2026-01-27"}


def quote(label: str = "on-demand", **changes: Any) -> dict[str, Any]:
    """Five small instances for half an hour."""
    return {"label": label, "instances": 5, "hours": 0.5, "usd": 0.028192, "volume_usd": 0.002192, "address_usd": 0.0, "price": PRICE} | changes


def plan(**changes: Any) -> dict[str, Any]:
    """The tutorial's first array on EC2."""
    offer = {"region": "us-east-1", "type": "t3.micro", "vcpus": 2, "memory_mib": 1024, "architecture": "x86_64", "ami": "ami-0abc1234"}
    value = {
        "schema_version": 1,
        "provider": "ec2",
        "name": "my-array",
        "children": 5,
        "instances": 5,
        "instance_types": ["t3.micro"],
        "spot": False,
        "regions": ["us-east-1"],
        "zones": ["us-east-1a", "us-east-1b"],
        "account": "123456789012",
        "bucket": "spawn-123456789012-us-east-1",
        "bucket_region": "us-east-1",
        "ttl_s": 1800.0,
        "volume_gib": 8,
        "volume_usd_gib_month": 0.08,
        "run_calls": 1,
        "seconds": 0.0,
        "seconds_one_by_one": 0.0,
        "vcpus": 10,
        "quota": 1152.0,
        "waves": 1,
        "usd": 0.028192,
        "usd_per_hour": 0.056384,
        "quotes": [quote(), quote("spot", usd=0.009942, price=SPOT_PRICE)],
        "offers": [offer | {"zone": zone, "on_demand": PRICE, "spot": SPOT_PRICE} for zone in ("us-east-1a", "us-east-1b")],
        "notes": [],
    } | changes
    check("plan", value)
    return value


def cost(array_id: str = "array-20260127-100000", **changes: Any) -> dict[str, Any]:
    """Five instances that run."""
    value = {
        "schema_version": 1,
        "array_id": array_id,
        "name": "my-array",
        "kind": "array",
        "provider": "ec2",
        "size": 5,
        "status": "PENDING",
        "hypothetical": False,
        "instances": 5,
        "running": 5,
        "hours": 1.25,
        "usd": 0.014096,
        "volume_usd": 0.001096,
        "address_usd": 0.0,
        "usd_expected": 0.028192,
        "usd_at_most": 0.028192,
        "prices": [PRICE | {"type": "t3.micro", "market": "on-demand", "region": "us-east-1", "instances": 5}],
        "parts": None,
        "as_of": "2026-01-27T10:15:00Z",
        "notes": [],
    } | changes
    check("cost", value)
    return value
