#!/usr/bin/env bash
# The AWS CLI: an array job of ten, listed, waited for, its logs read; a running job terminated.
# AWS names the program to run (`aws`), which may carry arguments (`aws --endpoint-url URL`).
set -euo pipefail

read -r -a AWS <<<"${AWS:-aws}"
LOGS=("${AWS[@]}")
if [ -n "${LOGS_URL:-}" ]; then # for an `aws` too old to know AWS_ENDPOINT_URL_BATCH
    AWS+=(--endpoint-url "$BATCH_URL")
    LOGS+=(--endpoint-url "$LOGS_URL")
fi
NAME=$(basename "$PWD")
WORK=$PWD

fail() { echo "$*" >&2; exit 1; }

batch() { "${AWS[@]}" batch "$@" --output text; }

status() { batch describe-jobs --jobs "$1" --query 'jobs[0].status'; }

settled() {
    local now
    for _ in $(seq 120); do
        now=$(status "$1")
        case $now in SUCCEEDED | FAILED) echo "$now"; return ;; esac
        sleep 0.5
    done
    fail "job $1 is still $now"
}

same() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }

cat >definition.json <<JSON
{
  "jobDefinitionName": "$NAME",
  "type": "container",
  "parameters": {"greeting": "hello"},
  "containerProperties": {
    "image": "busybox",
    "command": ["sh", "-c", "echo \$0 from \$AWS_BATCH_JOB_ARRAY_INDEX | tee $WORK/out-\$AWS_BATCH_JOB_ARRAY_INDEX", "Ref::greeting"],
    "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}]
  }
}
JSON

same "revision" 1 "$(batch register-job-definition --cli-input-json file://definition.json --query revision)"
JOB=$(batch submit-job --job-name "$NAME" --job-queue default --job-definition "$NAME" --array-properties size=10 --query jobId)
same "the array's end" SUCCEEDED "$(settled "$JOB")"
same "children succeeded" 10 "$(batch describe-jobs --jobs "$JOB" --query 'jobs[0].arrayProperties.statusSummary.SUCCEEDED')"
same "children listed" "$(seq -s, 0 9)" \
    "$(batch list-jobs --array-job-id "$JOB" --job-status SUCCEEDED --query 'jobSummaryList[].arrayProperties.index' | tr '\t' '\n' | sort -n | paste -sd,)"
same "children listed page by page" 10 \
    "$(batch list-jobs --array-job-id "$JOB" --job-status SUCCEEDED --page-size 3 --query 'jobSummaryList[].jobId' | wc -w)"
same "running children, which is what list-jobs shows by default" "" "$(batch list-jobs --array-job-id "$JOB" --query 'jobSummaryList[].jobId')"
for index in $(seq 0 9); do
    same "the output of child $index" "hello from $index" "$(cat "out-$index")"
done

STREAM=$(batch describe-jobs --jobs "$JOB:7" --query 'jobs[0].container.logStreamName')
same "get-log-events" "hello from 7" \
    "$("${LOGS[@]}" logs get-log-events --log-group-name /aws/batch/job --log-stream-name "$STREAM" --query 'events[].message' --output text)"
same "filter-log-events" "hello from 7" \
    "$("${LOGS[@]}" logs filter-log-events --log-group-name /aws/batch/job --log-stream-names "$STREAM" --query 'events[].message' --output text)"
same "describe-log-streams" "$STREAM" \
    "$("${LOGS[@]}" logs describe-log-streams --log-group-name /aws/batch/job --log-stream-name-prefix "$STREAM" --query 'logStreams[].logStreamName' --output text)"

SLEEPER=$(batch submit-job --job-name "$NAME-sleeper" --job-queue default --job-definition "$NAME" \
    --container-overrides '{"command": ["sh", "-c", "echo first; sleep 5; echo second; sleep 600"]}' --query jobId)
for _ in $(seq 120); do
    [ "$(status "$SLEEPER")" = RUNNING ] && break
    sleep 0.5
done
case $("${AWS[@]}" --version 2>&1) in
aws-cli/1.*) ;; # `aws logs tail` came with version 2
*)
    same "logs tail" "hello from 7" "$("${LOGS[@]}" logs tail /aws/batch/job --log-stream-names "$STREAM" --format short | cut -d' ' -f2-)"
    STREAM=$(batch describe-jobs --jobs "$SLEEPER" --query 'jobs[0].container.logStreamName')
    PYTHONUNBUFFERED=1 "${LOGS[@]}" logs tail /aws/batch/job --log-stream-names "$STREAM" --format short --follow >followed &
    for _ in $(seq 120); do
        grep -q second followed && break
        sleep 0.5
    done
    kill $!
    wait $! || true
    same "logs tail --follow of a running job" "first second" "$(cut -d' ' -f2- followed | paste -sd' ')"
    ;;
esac
batch terminate-job --job-id "$SLEEPER" --reason "seen enough" >/dev/null
same "a terminated job" FAILED "$(settled "$SLEEPER")"
same "its reason" "seen enough" "$(batch describe-jobs --jobs "$SLEEPER" --query 'jobs[0].statusReason')"

REFUSAL=$(batch submit-job --job-name "$NAME" --job-queue no-such-queue --job-definition "$NAME" 2>&1) && fail "a job for a queue that is not there was taken"
case $REFUSAL in
*"An error occurred (ClientException) when calling the SubmitJob operation"*) ;;
*) fail "an unexpected refusal: $REFUSAL" ;;
esac
batch deregister-job-definition --job-definition "$NAME:1" >/dev/null
same "active definitions after deregistering" "" \
    "$(batch describe-job-definitions --job-definition-name "$NAME" --status ACTIVE --query 'jobDefinitions[].revision')"
