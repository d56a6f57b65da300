"""AWS Batch's container properties in the words of `docker create`; held to the written wire format, and understood by the runner's own reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spawn.domain.jobs import BatchJob, Demand
from spawn.providers.local.containers import container_of
from spawn.providers.local.spec import spec_of
from spored.plans import parse_plan
from tests.domain.making import make_job
from tests.spored.schema import hold


def told(
    *, command: tuple[str, ...] = ("prog", "word"), fargate: bool = False, memory: int = 64, cpus: int = 1000, variables: Mapping[str, str] = {}, **detail: Any
) -> dict[str, Any]:
    """The `container` of a job with these container properties, whose processes would get `variables` beside those of this machine."""
    batch = BatchJob(definition="d:1", container={"image": "img:1", **detail}, platform_capabilities=("FARGATE",) if fargate else ("EC2",))
    job = make_job(1, 3, batch=batch, demand=Demand(cpus=cpus, memory=memory))
    job = replace(job, work=replace(job.work, command=command, environment={"PATH": "/host", "HOME": "/host", **variables}))
    spec = spec_of(job, directory=Path("/state/arrays/x"), runner_directory=Path("/state/runner"), max_concurrent=None, memory_limit=True)
    hold("spec", spec)
    made: Any = spec["container"]
    assert list(parse_plan(made).options) == made["options"]
    return dict(made)


def test_a_job_of_no_image_has_no_container() -> None:
    assert container_of(make_job(1)) is None


def test_image_command_and_only_the_variables_of_the_job() -> None:
    made = told(environment=[{"name": "A", "value": "1"}, {"name": "EMPTY"}])
    assert (made["image"], made["command"], made["environment"], made["refusal"]) == ("img:1", ["prog", "word"], {"A": "1", "EMPTY": ""}, None)
    assert told(command=())["command"] == []


def test_a_container_is_told_as_a_process_is_what_kind_of_platform_runs_it() -> None:
    platform = {"AWS_EXECUTION_ENV": "AWS_ECS_EC2"}
    assert told(variables=platform)["environment"] == platform
    assert told(variables=platform, environment=[{"name": "AWS_EXECUTION_ENV", "value": "mine"}])["environment"] == {"AWS_EXECUTION_ENV": "mine"}


@pytest.mark.parametrize(
    ("facts", "options"),
    [
        ({}, ["--cpu-shares=1024", "--memory=64m"]),
        ({"cpus": 1, "memory": 0}, ["--cpu-shares=2"]),
        ({"cpus": 250, "fargate": True}, ["--cpus=0.25", "--memory=64m"]),
        ({"user": "1000:100"}, ["--cpu-shares=1024", "--memory=64m", "--user=1000:100"]),
        ({"privileged": True, "readonlyRootFilesystem": True}, ["--cpu-shares=1024", "--memory=64m", "--privileged", "--read-only"]),
        ({"privileged": False, "readonlyRootFilesystem": False, "ulimits": []}, ["--cpu-shares=1024", "--memory=64m"]),
        ({"ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}]}, ["--cpu-shares=1024", "--memory=64m", "--ulimit=nofile=10:20"]),
    ],
)
def test_limits_and_rights(facts: dict[str, Any], options: list[str]) -> None:
    assert told(**facts)["options"] == options


@pytest.mark.parametrize(
    ("linux", "options"),
    [
        ({"initProcessEnabled": True, "sharedMemorySize": 32}, ["--init", "--shm-size=32m"]),
        ({"maxSwap": 0, "swappiness": 60}, ["--memory-swap=64m", "--memory-swappiness=60"]),
        ({"swappiness": 60}, []),
        ({"devices": [{"hostPath": "/dev/a"}]}, ["--device=/dev/a:/dev/a:rwm"]),
        ({"devices": [{"hostPath": "/dev/a", "containerPath": "/dev/b", "permissions": ["READ"]}]}, ["--device=/dev/a:/dev/b:r"]),
        ({"tmpfs": [{"containerPath": "/t", "size": 5, "mountOptions": ["noexec"]}]}, ["--tmpfs=/t:size=5m,noexec"]),
    ],
)
def test_parameters_of_linux(linux: dict[str, Any], options: list[str]) -> None:
    assert told(linuxParameters=linux)["options"][2:] == options


def test_volumes_are_directories_of_this_machine_or_new_ones() -> None:
    volumes = [{"name": "data", "host": {"sourcePath": "/data"}}, {"name": "scratch", "host": {}}, {"name": "unused"}]
    points = [{"sourceVolume": "data", "containerPath": "/in", "readOnly": True}, {"sourceVolume": "scratch", "containerPath": "/tmp/x"}]
    assert told(volumes=volumes, mountPoints=points)["volumes"] == [
        {"source": "/data", "name": "data", "target": "/in", "read_only": True},
        {"source": None, "name": "scratch", "target": "/tmp/x", "read_only": False},
    ]


@pytest.mark.parametrize(
    ("detail", "refusal"),
    [
        ({"volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]}, "volumes: 'v' is on Amazon EFS"),
        ({"mountPoints": [{"sourceVolume": "gone", "containerPath": "/x"}]}, "mountPoints: there is no volume 'gone'"),
        (
            {"volumes": [{"name": "v", "host": {"sourcePath": "rel"}}], "mountPoints": [{"sourceVolume": "v", "containerPath": "/x"}]},
            "'rel' is not an absolute path",
        ),
        ({"volumes": [{"name": "v"}], "mountPoints": [{"sourceVolume": "v", "containerPath": "/a:b"}]}, "'/a:b': container engines take no path with a colon"),
        ({"volumes": [{"name": "a:/x"}], "mountPoints": [{"sourceVolume": "a:/x", "containerPath": "/y"}]}, "volumes: 'a:/x' is not a name"),
        ({"resourceRequirements": [{"type": "GPU", "value": "1"}]}, "resourceRequirements: containers are given no GPU here"),
        ({"secrets": [{"name": "S", "valueFrom": "arn"}]}, "secrets: only AWS can look them up"),
        ({"repositoryCredentials": {"credentialsParameter": "arn"}}, "repositoryCredentials: only AWS can look them up"),
    ],
)
def test_what_cannot_be_had_is_told_as_a_refusal(detail: dict[str, Any], refusal: str) -> None:
    assert refusal in str(told(**detail)["refusal"])


def test_the_engine_is_called_with_what_it_needs_and_nothing_else_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/mine.sock")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    environment = told()["cli_environment"]
    assert (environment["DOCKER_HOST"], environment["HTTPS_PROXY"]) == ("unix:///run/mine.sock", "http://proxy")
    assert "AWS_SECRET_ACCESS_KEY" not in environment
