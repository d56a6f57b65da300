"""SubmitJob: what is taken, and what becomes of it (spec 2.11)."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from spawn.api.aws.batch.submitting import inherited_environment
from spawn.domain.queues import Health, JobQueue, Switch
from tests.aws.serving import Local, Scripted
from tests.aws.submissions import ARN, BASE, container, fate, put, refusal, register, submit


@pytest.fixture
def served(scripted: Scripted) -> Scripted:
    """With the definition `work:1`."""
    register(scripted)
    return scripted


# --- what is taken --------------------------------------------------------------------------------------------------------


def test_the_answer_names_the_job_with_the_region_of_the_caller(served: Scripted) -> None:
    answer = served.call("SubmitJob", region="cn-north-1", jobName="name", jobQueue="default", jobDefinition="work")
    assert answer == {"jobArn": f"arn:aws-cn:batch:cn-north-1:123456789012:job/{answer['jobId']}", "jobName": "name", "jobId": answer["jobId"]}
    assert len(answer["jobId"]) == 36


def test_a_job_is_what_its_definition_says(served: Scripted) -> None:
    job = submit(served)
    assert job.work.command == ("work", "hard")
    assert (job.demand.cpus, job.demand.memory) == (500, 64)
    assert (job.queue, job.indexes, job.retry.attempts, job.timeout, job.tags) == ("default", None, 1, None, {})
    assert job.batch is not None
    assert (job.batch.definition, job.batch.parameters) == ("work:1", {"what": "hard"})
    assert container(job) == {
        **BASE,
        "command": ["work", "hard"],
        "volumes": [],
        "mountPoints": [],
        "ulimits": [],
        "secrets": [],
        "networkInterfaces": [],
    }


def test_an_array_has_children_of_index_0_to_its_size(served: Scripted) -> None:
    job = submit(served, arrayProperties={"size": 10_000})
    assert (job.size, job.index_at(0), job.index_at(9_999)) == (10_000, 0, 9_999)


def test_the_job_runs_as_told(served: Scripted) -> None:
    job = submit(served, arrayProperties={"size": 3})
    served.finish({1: 1})
    assert fate(served, job) == ("FAILED", "Array Child Job failed")


def test_overrides_replace_the_command_and_merge_by_name_and_type(served: Scripted) -> None:
    job = submit(
        served,
        parameters={"what": "easy", "nf-token": "unused"},
        containerOverrides={
            "command": ["other", "--x=Ref::what"],
            "environment": [{"name": "B", "value": "two"}, {"name": "C", "value": "3"}],
            "resourceRequirements": [{"type": "MEMORY", "value": "128"}, {"type": "GPU", "value": "1"}],
            "instanceType": "m5.large",
        },
    )
    assert job.work.command == ("other", "--x=easy")
    assert (job.demand.cpus, job.demand.memory) == (500, 128)
    assert container(job)["environment"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "two"}, {"name": "C", "value": "3"}]
    assert {one["type"]: one["value"] for one in container(job)["resourceRequirements"]} == {"VCPU": "0.5", "MEMORY": "128", "GPU": "1"}
    assert container(job)["instanceType"] == "m5.large"
    assert job.work.environment["B"] == "two"


def test_an_empty_command_override_overrides_nothing(served: Scripted) -> None:
    assert submit(served, containerOverrides={"command": []}).work.command == ("work", "hard")


def test_deprecated_overrides_win_over_deprecated_members_and_lose_to_resource_requirements(served: Scripted) -> None:
    register(served, "old", containerProperties={"command": ["c"], "vcpus": 1, "memory": 64})
    old = submit(served, jobDefinition="old", containerOverrides={"vcpus": 2, "memory": 4096})
    assert (old.demand.cpus, old.demand.memory) == (2000, 4096)
    assert (container(old)["vcpus"], container(old)["memory"], container(old)["resourceRequirements"]) == (2, 4096, [])
    new = submit(served, containerOverrides={"vcpus": 2, "memory": 4096})
    assert (new.demand.cpus, new.demand.memory) == (500, 64)
    assert "vcpus" not in container(new)


def test_a_job_takes_one_vcpu_where_nothing_is_stated(served: Scripted) -> None:
    register(served, "bare", containerProperties={"command": ["c"]})
    job = submit(served, jobDefinition="bare")
    assert (job.demand.cpus, job.demand.memory) == (1000, 0)


def test_a_job_that_is_larger_than_the_host_is_taken_and_waits(served: Scripted) -> None:
    job = submit(served, containerOverrides={"resourceRequirements": [{"type": "VCPU", "value": "4096"}]})
    assert fate(served, job)[0] == "RUNNABLE"


def test_retry_strategy_and_timeout_replace_those_of_the_definition(served: Scripted) -> None:
    register(served, "strict", retryStrategy={"attempts": 3}, timeout={"attemptDurationSeconds": 90})
    kept = submit(served, jobDefinition="strict", retryStrategy={}, timeout={})
    assert (kept.retry.attempts, kept.timeout and kept.timeout.total_seconds()) == (3, 90)
    changed = submit(
        served,
        jobDefinition="strict",
        retryStrategy={"attempts": 10, "evaluateOnExit": [{"onStatusReason": "Host EC2*", "action": "Retry"}]},
        timeout={"attemptDurationSeconds": 60},
    )
    assert (changed.retry.attempts, changed.retry.rules[0].on_status_reason) == (10, "Host EC2*")
    assert changed.timeout is not None
    assert changed.timeout.total_seconds() == 60


def test_tags_are_the_jobs_own_also_when_the_definitions_are_propagated(served: Scripted) -> None:
    register(served, "tagged", tags={"a": "1"}, propagateTags=True)
    job = submit(served, jobDefinition="tagged", tags={"b": "2"})
    assert job.tags == {"b": "2"}
    assert job.batch is not None
    assert job.batch.propagate_tags
    quiet = submit(served, jobDefinition="tagged", propagateTags=False).batch
    assert quiet is not None
    assert not quiet.propagate_tags


# --- the definition and the queue -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "revision"),
    [
        ("work", 2),
        ("work:1", 1),
        (f"{ARN}:job-definition/work", 2),
        (f"{ARN}:job-definition/work:1", 1),
        ("arn:aws-cn:batch:cn-north-1:1:job-definition/work:2", 2),
    ],
)
def test_a_definition_is_meant_by_name_revision_or_arn(served: Scripted, reference: str, revision: int) -> None:
    register(served)
    register(served)
    served.call("DeregisterJobDefinition", jobDefinition="work:3")
    batch = submit(served, jobDefinition=reference).batch
    assert batch is not None
    assert batch.definition == f"work:{revision}"


def test_a_definition_that_cannot_be_used_is_refused(served: Scripted) -> None:
    served.call("DeregisterJobDefinition", jobDefinition="work:1")
    assert refusal(served, jobDefinition="work:1") == "JobDefinition work:1 is not in ACTIVE status, but INACTIVE: register a new revision"
    assert refusal(served) == "JobDefinition name work does not exist or is not in ACTIVE status"
    assert refusal(served, jobDefinition="nothing") == "JobDefinition name nothing does not exist or is not in ACTIVE status"
    assert refusal(served, jobDefinition="work:9") == "JobDefinition work:9 not found."
    assert refusal(served, jobDefinition="work:latest") == "Provided name work:latest is not supported pattern[a-zA-Z_0-9-]{1,128}"
    assert "is not supported pattern" in refusal(served, jobDefinition=f"{ARN}:job-queue/default")


def test_a_revision_that_was_changed_since_is_read_anew(served: Scripted) -> None:
    submit(served, jobDefinition="work:1")
    served.call("DeregisterJobDefinition", jobDefinition="work:1")
    assert "INACTIVE" in refusal(served, jobDefinition="work:1")


def test_a_definition_is_there_after_a_restart(served: Scripted) -> None:
    before = submit(served)
    served.restart()
    after = submit(served)
    assert (after.work, after.batch) == (before.work, before.batch)


def test_a_queue_is_meant_by_name_or_arn_of_any_region(served: Scripted) -> None:
    put(served, JobQueue(name="second", environments=("local",)))
    for reference in ("second", f"{ARN}:job-queue/second", "arn:aws-us-gov:batch:us-gov-west-1:1:job-queue/second"):
        assert submit(served, jobQueue=reference).queue == "second"


def test_a_queue_that_takes_no_jobs_is_refused_before_anything_of_the_definition(served: Scripted) -> None:
    off = JobQueue(name="off", environments=("local",), state=Switch.DISABLED)
    put(served, off, replace(off, name="broken", state=Switch.ENABLED, status=Health.INVALID, reason="no environment"))
    for definition in ("work", "nothing"):
        assert "'off' is DISABLED" in refusal(served, jobQueue="off", jobDefinition=definition)
        assert "'broken' is INVALID: no environment" in refusal(served, jobQueue="broken", jobDefinition=definition)
        assert refusal(served, jobQueue="nowhere", jobDefinition=definition) == "JobQueue nowhere not found."
    assert "is not the ARN of a job-queue" in refusal(served, jobQueue=f"{ARN}:job-definition/work")


# --- the environment of the process ---------------------------------------------------------------------------------------


def test_nothing_of_the_engines_environment_reaches_a_job_but_where_it_is() -> None:
    own = {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "LANG": "C", "TZ": "UTC", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "p", "EDITOR": "vi", "LCX": "x"}
    assert inherited_environment(own) == {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "LANG": "C", "TZ": "UTC"}


def test_variables_of_the_definition_and_of_the_submission_win(served: Scripted) -> None:
    override = [{"name": "PATH", "value": "/mine"}, {"name": "AWS_EXECUTION_ENV", "value": "elsewhere"}, {"name": "EMPTY"}]
    environment = submit(served, containerOverrides={"environment": override}).work.environment
    assert (environment["PATH"], environment["A"], environment["EMPTY"], environment["AWS_EXECUTION_ENV"]) == ("/mine", "1", "", "elsewhere")


def test_a_process_sees_its_variables_and_those_of_batch_and_nothing_of_the_engines(local: Local) -> None:
    script = "env -0; pwd"
    properties = {"command": ["/bin/sh", "-c", script], "environment": [{"name": "A", "value": "two\nlines"}]}
    local.call("RegisterJobDefinition", jobDefinitionName="env", type="container", containerProperties=properties)
    job = local.call("SubmitJob", jobName="env", jobQueue="default", jobDefinition="env", arrayProperties={"size": 2})["jobId"]
    local.wait(job)
    row = local.store.job(job)
    assert row is not None
    assert row.status.name == "SUCCEEDED"
    *variables, directory = local.files.log(row.job, 1, 1).read_text().split("\0")
    seen = dict(variable.split("=", 1) for variable in variables)
    expected = {
        "A": "two\nlines",
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        "AWS_BATCH_JOB_ID": f"{job}:1",
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "AWS_BATCH_JOB_ARRAY_INDEX": "1",
        "AWS_BATCH_JOB_ARRAY_SIZE": "2",
        "AWS_BATCH_JQ_NAME": "default",
        "AWS_BATCH_CE_NAME": "local",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert {name for name in seen if name.startswith("AWS_")} == {name for name in expected if name.startswith("AWS_")}
    assert not seen.keys() & (set(os.environ) - inherited_environment(os.environ).keys() - {"PWD", "OLDPWD", "SHLVL", "_", "TMPDIR"})
    assert directory.strip() == str(local.files.output(row.job, 1, 1))
