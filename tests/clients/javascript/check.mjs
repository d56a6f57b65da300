// The AWS SDK for JavaScript, which signs and encodes with code of its own: an array job, its logs, tags, a termination, and refusals.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

const require = createRequire(process.env.NODE_MODULES + "/");
const {
  BatchClient, ClientException, DescribeJobQueuesCommand, DescribeJobsCommand, ListTagsForResourceCommand, RegisterJobDefinitionCommand,
  SubmitJobCommand, TagResourceCommand, TerminateJobCommand, UntagResourceCommand, paginateListJobs,
} = require("@aws-sdk/client-batch");
const { CloudWatchLogsClient, GetLogEventsCommand } = require("@aws-sdk/client-cloudwatch-logs");

const batch = new BatchClient({});
const logs = new CloudWatchLogsClient({});
const here = process.cwd();

async function reached(jobId, ...statuses) {
  for (let look = 0; look < 600; look++) {
    const [job] = (await batch.send(new DescribeJobsCommand({ jobs: [jobId] }))).jobs;
    if (statuses.includes(job.status)) return job;
    await pause(200);
  }
  assert.fail(`${jobId} did not become ${statuses}`);
}

const defined = await batch.send(new RegisterJobDefinitionCommand({
  jobDefinitionName: "javascript",
  type: "container",
  containerProperties: {
    image: "busybox",
    command: ["sh", "-c", `echo "größe $AWS_BATCH_JOB_ARRAY_INDEX" | tee ${here}/out-$AWS_BATCH_JOB_ARRAY_INDEX`],
    resourceRequirements: [{ type: "VCPU", value: "0.5" }, { type: "MEMORY", value: "64" }],
  },
}));
const job = { jobName: "javascript", jobQueue: "default", jobDefinition: defined.jobDefinitionArn };

const array = await batch.send(new SubmitJobCommand({ ...job, arrayProperties: { size: 4 } }));
const parent = await reached(array.jobId, "SUCCEEDED", "FAILED");
assert.equal(parent.status, "SUCCEEDED");
assert.equal(parent.arrayProperties.statusSummary.SUCCEEDED, 4);
const indexes = [];
for await (const page of paginateListJobs({ client: batch, pageSize: 3 }, { arrayJobId: array.jobId, jobStatus: "SUCCEEDED" })) {
  indexes.push(...page.jobSummaryList.map((child) => child.arrayProperties.index));
}
assert.deepEqual(indexes.sort(), [0, 1, 2, 3]);
for (const index of indexes) {
  assert.equal(await readFile(`${here}/out-${index}`, "utf8"), `größe ${index}\n`);
}
const child = await reached(`${array.jobId}:2`, "SUCCEEDED");
const read = await logs.send(new GetLogEventsCommand({ logGroupName: "/aws/batch/job", logStreamName: child.container.logStreamName, startFromHead: true }));
assert.deepEqual(read.events.map((event) => event.message), ["größe 2"]);

// the ARN is part of the path, and the tag keys of the query: both are signed as they are encoded
const [queue] = (await batch.send(new DescribeJobQueuesCommand({ jobQueues: ["default"] }))).jobQueues;
const resource = { resourceArn: queue.jobQueueArn };
await batch.send(new TagResourceCommand({ ...resource, tags: { "a b/c+d": "ü = €", kept: "1" } }));
assert.deepEqual((await batch.send(new ListTagsForResourceCommand(resource))).tags, { "a b/c+d": "ü = €", kept: "1" });
await batch.send(new UntagResourceCommand({ ...resource, tagKeys: ["a b/c+d", "never there"] }));
assert.deepEqual((await batch.send(new ListTagsForResourceCommand(resource))).tags, { kept: "1" });
await batch.send(new UntagResourceCommand({ ...resource, tagKeys: ["kept"] }));

const sleeper = await batch.send(new SubmitJobCommand({ ...job, containerOverrides: { command: ["sleep", "600"] } }));
await reached(sleeper.jobId, "RUNNING");
await batch.send(new TerminateJobCommand({ jobId: sleeper.jobId, reason: "seen enough" }));
const ended = await reached(sleeper.jobId, "SUCCEEDED", "FAILED");
assert.deepEqual([ended.status, ended.statusReason], ["FAILED", "seen enough"]);

await assert.rejects(batch.send(new SubmitJobCommand({ ...job, jobQueue: "nowhere" })), (error) => {
  assert.ok(error instanceof ClientException, String(error));
  assert.equal(error.$metadata.httpStatusCode, 400);
  assert.ok(error.$metadata.requestId);
  return true;
});
const stranger = new BatchClient({ credentials: { accessKeyId: "AKIANOBODY", secretAccessKey: "no-key-of-this-endpoint" } });
await assert.rejects(stranger.send(new SubmitJobCommand(job)), (error) => error.$metadata.httpStatusCode === 403);
