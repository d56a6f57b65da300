"""Every operation of the service model, asked by boto3: it answers in its shape, and with what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.aws.contract.world import ARN, REASON, Json, World, operations_of_the_model

ORDER: Final = [{"order": 1, "computeEnvironment": "local"}]
UNIT: Final = [{"maxCapacity": 1, "capacityUnit": "ml.m5.large"}]
MANAGED: Final[Json] = {"computeEnvironmentName": "cloud", "type": "MANAGED", "computeResources": {"type": "EC2", "maxvCpus": 4}}
SERVICE_JOBS: Final = frozenset(
    {"SubmitServiceJob", "DescribeServiceJob", "ListServiceJobs", "UpdateServiceJob", "TerminateServiceJob", "TerminateServiceJobs"}
)

Case = Callable[[World], object]
CASES: dict[str, Case] = {}


def case(operation: str) -> Callable[[Case], Case]:
    """Says of which operation a function is the case."""

    def keep(function: Case) -> Case:
        CASES[operation] = function
        return function

    return keep


@pytest.mark.parametrize("operation", operations_of_the_model())
def test_every_operation_answers_in_the_shape_that_the_model_says(world: World, operation: str) -> None:
    if operation in SERVICE_JOBS:
        assert "service jobs do not run here" in world.refusal(operation, **SERVICE_INPUT[operation])
        return
    CASES[operation](world)
    assert operation in world.answered


SERVICE_INPUT: Final[dict[str, Json]] = {
    "SubmitServiceJob": {"jobName": "j", "jobQueue": "default", "serviceRequestPayload": "{}", "serviceJobType": "SAGEMAKER_TRAINING"},
    "DescribeServiceJob": {"jobId": "x"},
    "ListServiceJobs": {},
    "UpdateServiceJob": {"jobId": "x", "schedulingPriority": 1},
    "TerminateServiceJob": {"jobId": "x", "reason": REASON},
    "TerminateServiceJobs": {"jobs": ["x"], "reason": REASON},
}


# --- jobs ---------------------------------------------------------------------------------------------------------------


@case("SubmitJob")
def submit_job(world: World) -> None:
    answer = world.call("SubmitJob", jobName="job", jobQueue="default", jobDefinition="work", arrayProperties={"size": 2}, tags={"a": "b"})
    assert answer == {"jobArn": f"{ARN}:job/{answer['jobId']}", "jobName": "job", "jobId": answer["jobId"]}


@case("DescribeJobs")
def describe_jobs(world: World) -> None:
    parent, single = world.submit(2, retryStrategy={"attempts": 2}, timeout={"attemptDurationSeconds": 60}), world.submit()
    world.begin(f"{parent}:0", f"{parent}:1")
    world.end(f"{parent}:0", code=1)
    ids = [parent, f"{parent}:1", single, f"{parent}:0"]
    jobs = world.call("DescribeJobs", jobs=[*ids, "unknown", ""])["jobs"]
    assert [job["jobId"] for job in jobs] == ids
    assert [job["jobArn"] for job in jobs] == [f"{ARN}:job/{job}" for job in ids]
    assert jobs[0]["arrayProperties"]["size"] == sum(jobs[0]["arrayProperties"]["statusSummary"].values()) == 2
    assert (jobs[1]["status"], jobs[1]["arrayProperties"]["index"]) == ("RUNNING", 1)
    assert jobs[0]["attempts"] == []
    assert jobs[0]["container"]["image"] == "busybox"
    assert [one["container"]["exitCode"] for one in jobs[3]["attempts"]] == [1]
    assert jobs[1]["container"]["logStreamName"].startswith("work/default/")
    for name in ("attempts", "dependsOn", "platformCapabilities"):
        assert jobs[2][name] == []
    for name in ("volumes", "mountPoints", "ulimits", "secrets", "networkInterfaces"):
        assert jobs[2]["container"][name] == []
    assert world.call("DescribeJobs", jobs=["a" * 32]) == {"jobs": []}


@case("ListJobs")
def list_jobs(world: World) -> None:
    parent, single = world.submit(3), world.submit()
    world.begin(f"{parent}:0")
    assert world.call("ListJobs", jobQueue="default")["jobSummaryList"] == []
    (listed,) = world.call("ListJobs", jobQueue="default", jobStatus="PENDING")["jobSummaryList"]
    assert (listed["jobId"], listed["arrayProperties"]["size"]) == (parent, 3)
    (child,) = world.call("ListJobs", arrayJobId=parent)["jobSummaryList"]
    assert (child["jobId"], child["arrayProperties"]) == (f"{parent}:0", {"index": 0})
    page = world.call("ListJobs", jobQueue="default", filters=[{"name": "JOB_NAME", "values": ["J*"]}], maxResults=1)
    rest = world.call("ListJobs", jobQueue="default", filters=[{"name": "JOB_NAME", "values": ["J*"]}], nextToken=page["nextToken"])
    assert {job["jobId"] for job in page["jobSummaryList"] + rest["jobSummaryList"]} == {parent, single}
    paged = world.batch.get_paginator("list_jobs").paginate(arrayJobId=parent, jobStatus="STARTING", PaginationConfig={"PageSize": 1})
    found = [job["arrayProperties"]["index"] for page in paged for job in page["jobSummaryList"]]
    assert found == sorted(found)
    assert found


@case("CancelJob")
def cancel_job(world: World) -> None:
    world.fill()
    assert world.call("CancelJob", jobId=world.submit(), reason=REASON) == {}


@case("TerminateJob")
def terminate_job(world: World) -> None:
    assert world.call("TerminateJob", jobId=world.submit(2), reason=REASON) == {}


@case("CancelJobs")
def cancel_jobs(world: World) -> None:
    world.fill()
    job = world.submit()
    answer = world.call("CancelJobs", jobs=[job, ""], reason=REASON)
    assert (answer["successful"], [error["code"] for error in answer["errors"]]) == ([job], ["ValidationException"])


@case("TerminateJobs")
def terminate_jobs(world: World) -> None:
    jobs = [world.submit(), world.submit(2)]
    assert world.call("TerminateJobs", jobs=jobs, reason=REASON) == {"successful": jobs, "errors": []}


# --- job definitions ----------------------------------------------------------------------------------------------------


@case("RegisterJobDefinition")
def register_job_definition(world: World) -> None:
    properties = {"image": "i", "command": ["true"], "resourceRequirements": [{"type": "VCPU", "value": "0.5"}, {"type": "MEMORY", "value": "64"}]}
    asked: Json = {
        "jobDefinitionName": "mine",
        "type": "container",
        "containerProperties": {**properties, "jobRoleArn": "arn:aws:iam::123456789012:role/r", "privileged": True},
        "retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onReason": "*", "action": "EXIT"}]},
        "timeout": {"attemptDurationSeconds": 60},
        "platformCapabilities": ["EC2"],
        "tags": {},
    }
    for revision in (1, 2):
        arn = f"{ARN}:job-definition/mine:{revision}"
        assert world.call("RegisterJobDefinition", **asked) == {"jobDefinitionName": "mine", "jobDefinitionArn": arn, "revision": revision}


@case("DescribeJobDefinitions")
def describe_job_definitions(world: World) -> None:
    register_job_definition(world)
    (second, first) = world.call("DescribeJobDefinitions", jobDefinitionName="mine", status="ACTIVE")["jobDefinitions"]
    assert (first["revision"], second["revision"], first["status"], first["containerProperties"]["privileged"]) == (1, 2, "ACTIVE", True)
    assert first["retryStrategy"] == {"attempts": 2, "evaluateOnExit": [{"onReason": "*", "action": "exit"}]}
    page = world.call("DescribeJobDefinitions", maxResults=1)
    assert len(page["jobDefinitions"]) == 1
    assert page["nextToken"]
    everything = world.batch.get_paginator("describe_job_definitions").paginate(PaginationConfig={"PageSize": 1}).build_full_result()
    assert len(everything["jobDefinitions"]) == 3


@case("DeregisterJobDefinition")
def deregister_job_definition(world: World) -> None:
    assert world.call("DeregisterJobDefinition", jobDefinition=f"{ARN}:job-definition/work:1") == {}
    (definition,) = world.call("DescribeJobDefinitions", jobDefinitions=["work:1"])["jobDefinitions"]
    assert definition["status"] == "INACTIVE"
    world.call("RegisterJobDefinition", jobDefinitionName="work", type="container", containerProperties={"image": "i"})
    (latest,) = world.call("DescribeJobDefinitions", jobDefinitionName="work", status="ACTIVE")["jobDefinitions"]
    assert latest["revision"] == 2


# --- queues and environments --------------------------------------------------------------------------------------------


@case("CreateJobQueue")
def create_job_queue(world: World, **more: Any) -> None:
    answer = world.call("CreateJobQueue", jobQueueName="mine", priority=1, computeEnvironmentOrder=ORDER, tags={"a": "b"}, **more)
    assert answer == {"jobQueueName": "mine", "jobQueueArn": f"{ARN}:job-queue/mine"}


@case("UpdateJobQueue")
def update_job_queue(world: World) -> None:
    create_job_queue(world)
    limits = [{"reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}]
    answer = world.call("UpdateJobQueue", jobQueue="mine", state="DISABLED", priority=7, jobStateTimeLimitActions=limits)
    assert answer == {"jobQueueName": "mine", "jobQueueArn": f"{ARN}:job-queue/mine"}


@case("DescribeJobQueues")
def describe_job_queues(world: World) -> None:
    update_job_queue(world)
    (queue,) = world.call("DescribeJobQueues", jobQueues=["mine"])["jobQueues"]
    assert (queue["state"], queue["status"], queue["statusReason"], queue["priority"]) == ("DISABLED", "VALID", "JobQueue Healthy", 7)
    assert queue["computeEnvironmentOrder"] == [{"order": 1, "computeEnvironment": f"{ARN}:compute-environment/local"}]
    pages = list(world.batch.get_paginator("describe_job_queues").paginate(PaginationConfig={"PageSize": 1}))
    assert [queue["jobQueueName"] for page in pages for queue in page["jobQueues"]] == ["default", "mine"]


@case("DeleteJobQueue")
def delete_job_queue(world: World) -> None:
    update_job_queue(world)
    assert world.call("DeleteJobQueue", jobQueue=f"{ARN}:job-queue/mine") == {}
    assert world.call("DescribeJobQueues", jobQueues=["mine"]) == {"jobQueues": []}


@case("GetJobQueueSnapshot")
def get_job_queue_snapshot(world: World) -> None:
    world.fill()
    job = world.submit()
    front = world.call("GetJobQueueSnapshot", jobQueue="default")["frontOfQueue"]
    assert [entry["jobArn"] for entry in front["jobs"]] == [f"{ARN}:job/{job}"]


@case("CreateComputeEnvironment")
def create_compute_environment(world: World) -> None:
    arn = f"{ARN}:compute-environment/cloud"
    assert world.call("CreateComputeEnvironment", **MANAGED) == {"computeEnvironmentName": "cloud", "computeEnvironmentArn": arn}


@case("UpdateComputeEnvironment")
def update_compute_environment(world: World) -> None:
    create_compute_environment(world)
    answer = world.call("UpdateComputeEnvironment", computeEnvironment="cloud", state="DISABLED", computeResources={"maxvCpus": 2})
    assert answer["computeEnvironmentName"] == "cloud"


@case("DescribeComputeEnvironments")
def describe_compute_environments(world: World) -> None:
    update_compute_environment(world)
    cloud, local = world.call("DescribeComputeEnvironments")["computeEnvironments"]
    assert (cloud["state"], cloud["status"], cloud["computeResources"]["maxvCpus"]) == ("DISABLED", "VALID", 2)
    assert (local["computeResources"]["type"], local["type"], local["statusReason"]) == ("EC2", "MANAGED", "ComputeEnvironment Healthy")


@case("DeleteComputeEnvironment")
def delete_compute_environment(world: World) -> None:
    update_compute_environment(world)
    assert world.call("DeleteComputeEnvironment", computeEnvironment="cloud") == {}


# --- policies and consumable resources ----------------------------------------------------------------------------------


@case("CreateSchedulingPolicy")
def create_scheduling_policy(world: World) -> None:
    fair = {"shareDecaySeconds": 60, "computeReservation": 10, "shareDistribution": [{"shareIdentifier": "a*", "weightFactor": 0.5}]}
    answer = world.call("CreateSchedulingPolicy", name="fair", fairsharePolicy=fair, tags={"a": "b"})
    assert answer == {"name": "fair", "arn": f"{ARN}:scheduling-policy/fair"}


@case("UpdateSchedulingPolicy")
def update_scheduling_policy(world: World) -> None:
    create_scheduling_policy(world)
    assert world.call("UpdateSchedulingPolicy", arn=f"{ARN}:scheduling-policy/fair", fairsharePolicy={"shareDecaySeconds": 30}) == {}


@case("DescribeSchedulingPolicies")
def describe_scheduling_policies(world: World) -> None:
    create_scheduling_policy(world)
    (policy,) = world.call("DescribeSchedulingPolicies", arns=[f"{ARN}:scheduling-policy/fair"])["schedulingPolicies"]
    assert policy["fairsharePolicy"]["shareDistribution"] == [{"shareIdentifier": "a*", "weightFactor": 0.5}]


@case("ListSchedulingPolicies")
def list_scheduling_policies(world: World) -> None:
    create_scheduling_policy(world)
    assert world.call("ListSchedulingPolicies") == {"schedulingPolicies": [{"arn": f"{ARN}:scheduling-policy/fair"}]}


@case("DeleteSchedulingPolicy")
def delete_scheduling_policy(world: World) -> None:
    create_scheduling_policy(world)
    assert world.call("DeleteSchedulingPolicy", arn=f"{ARN}:scheduling-policy/fair") == {}


@case("CreateConsumableResource")
def create_consumable_resource(world: World) -> None:
    answer = world.call("CreateConsumableResource", consumableResourceName="licence", totalQuantity=2, resourceType="REPLENISHABLE")
    assert answer == {"consumableResourceName": "licence", "consumableResourceArn": f"{ARN}:consumable-resource/licence"}


@case("UpdateConsumableResource")
def update_consumable_resource(world: World) -> None:
    create_consumable_resource(world)
    answer = world.call("UpdateConsumableResource", consumableResource="licence", operation="ADD", quantity=3, clientToken="once")
    assert answer["totalQuantity"] == 5


def submit_consumer(world: World) -> str:
    """A job that takes one of the resource, and is under way."""
    create_consumable_resource(world)
    taken = {"consumableResourceList": [{"consumableResource": "licence", "quantity": 1}]}
    return world.submit(consumableResourcePropertiesOverride=taken)


@case("DescribeConsumableResource")
def describe_consumable_resource(world: World) -> None:
    submit_consumer(world)
    resource = world.call("DescribeConsumableResource", consumableResource="licence")
    assert (resource["totalQuantity"], resource["inUseQuantity"], resource["availableQuantity"]) == (2, 1, 1)


@case("ListConsumableResources")
def list_consumable_resources(world: World) -> None:
    create_consumable_resource(world)
    (listed,) = world.call("ListConsumableResources", filters=[{"name": "CONSUMABLE_RESOURCE_NAME", "values": ["lic*"]}])["consumableResources"]
    assert listed["consumableResourceName"] == "licence"


@case("ListJobsByConsumableResource")
def list_jobs_by_consumable_resource(world: World) -> None:
    job = submit_consumer(world)
    (listed,) = world.call("ListJobsByConsumableResource", consumableResource="licence")["jobs"]
    assert (listed["jobArn"], listed["quantity"]) == (f"{ARN}:job/{job}", 1)


@case("DeleteConsumableResource")
def delete_consumable_resource(world: World) -> None:
    create_consumable_resource(world)
    assert world.call("DeleteConsumableResource", consumableResource="licence") == {}


# --- what service jobs would run by -------------------------------------------------------------------------------------


@case("CreateServiceEnvironment")
def create_service_environment(world: World) -> None:
    asked = {"serviceEnvironmentName": "training", "serviceEnvironmentType": "SAGEMAKER_TRAINING", "capacityLimits": UNIT}
    assert world.call("CreateServiceEnvironment", **asked)["serviceEnvironmentArn"] == f"{ARN}:service-environment/training"


@case("UpdateServiceEnvironment")
def update_service_environment(world: World) -> None:
    create_service_environment(world)
    assert world.call("UpdateServiceEnvironment", serviceEnvironment="training", state="DISABLED")["serviceEnvironmentName"] == "training"


@case("DescribeServiceEnvironments")
def describe_service_environments(world: World) -> None:
    create_service_environment(world)
    (environment,) = world.call("DescribeServiceEnvironments")["serviceEnvironments"]
    assert (environment["status"], environment["capacityLimits"]) == ("VALID", UNIT)


@case("DeleteServiceEnvironment")
def delete_service_environment(world: World) -> None:
    update_service_environment(world)
    assert world.call("DeleteServiceEnvironment", serviceEnvironment="training") == {}


@case("CreateQuotaShare")
def create_quota_share(world: World) -> str:
    create_service_environment(world)
    quota = {"idleResourceAssignmentStrategy": "FIFO"}
    policy = world.call("CreateSchedulingPolicy", name="quota", quotaSharePolicy=quota)["arn"]
    order = [{"order": 1, "serviceEnvironment": "training"}]
    asked: Json = {"jobQueueName": "service", "priority": 1, "jobQueueType": "SAGEMAKER_TRAINING", "schedulingPolicyArn": policy}
    world.call("CreateJobQueue", **asked, serviceEnvironmentOrder=order)
    share: str = world.call(
        "CreateQuotaShare",
        quotaShareName="half",
        jobQueue="service",
        capacityLimits=UNIT,
        resourceSharingConfiguration={"strategy": "LEND_AND_BORROW"},
        preemptionConfiguration={"inSharePreemption": "ENABLED"},
    )["quotaShareArn"]
    assert share.startswith(f"{ARN}:job-queue/service/")
    return share


@case("UpdateQuotaShare")
def update_quota_share(world: World) -> None:
    assert world.call("UpdateQuotaShare", quotaShareArn=create_quota_share(world), state="DISABLED")["quotaShareName"] == "half"


@case("DescribeQuotaShare")
def describe_quota_share(world: World) -> None:
    share = world.call("DescribeQuotaShare", quotaShareArn=create_quota_share(world))
    assert (share["state"], share["resourceSharingConfiguration"]["borrowLimit"]) == ("ENABLED", -1)


@case("ListQuotaShares")
def list_quota_shares(world: World) -> None:
    share = create_quota_share(world)
    assert [one["quotaShareArn"] for one in world.call("ListQuotaShares", jobQueue="service")["quotaShares"]] == [share]


@case("DeleteQuotaShare")
def delete_quota_share(world: World) -> None:
    share = create_quota_share(world)
    world.call("UpdateQuotaShare", quotaShareArn=share, state="DISABLED")
    assert world.call("DeleteQuotaShare", quotaShareArn=share) == {}


# --- tags ---------------------------------------------------------------------------------------------------------------


@case("TagResource")
def tag_resource(world: World) -> None:
    create_job_queue(world)
    assert world.call("TagResource", resourceArn=f"{ARN}:job-queue/mine", tags={"c": "d", "a": "new"}) == {}


@case("UntagResource")
def untag_resource(world: World) -> None:
    create_job_queue(world)
    assert world.call("UntagResource", resourceArn=f"{ARN}:job-queue/mine", tagKeys=["a", "never"]) == {}
    assert world.call("ListTagsForResource", resourceArn=f"{ARN}:job-queue/mine") == {"tags": {}}


@case("ListTagsForResource")
def list_tags_for_resource(world: World) -> None:
    tag_resource(world)
    assert world.call("ListTagsForResource", resourceArn=f"{ARN}:job-queue/mine") == {"tags": {"a": "new", "c": "d"}}
    job = world.submit(tags={"of": "job"})
    assert world.call("ListTagsForResource", resourceArn=f"{ARN}:job/{job}") == {"tags": {"of": "job"}}
    assert world.refusal("ListTagsForResource", resourceArn=f"{ARN}:job/{world.submit(2)}:0")
