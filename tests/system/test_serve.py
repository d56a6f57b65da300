"""`spawn serve` with a real engine and real AWS clients."""

from __future__ import annotations

import http.client
import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from spawn.client.client import Client
from spawn.domain.errors import NotFound, UsageError
from tests.system.conftest import Shell, alive, eventually
from tests.system.test_contracts import check

QUEUES = """
import boto3
print([queue["jobQueueName"] for queue in boto3.client("batch").describe_job_queues()["jobQueues"]])
print([group["logGroupName"] for group in boto3.client("logs").describe_log_groups()["logGroups"]])
"""


def variables(lines: str) -> dict[str, str]:
    """What a shell has after `eval`."""
    return dict(shlex.split(line)[1].split("=", 1) for line in lines.splitlines())


def client(lines: dict[str, str], **changes: Any) -> Any:
    """A Batch client of whoever has these variables."""
    given = {
        "endpoint_url": lines["AWS_ENDPOINT_URL_BATCH"],
        "region_name": lines["AWS_REGION"],
        "aws_access_key_id": lines["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": lines["AWS_SECRET_ACCESS_KEY"],
        "config": Config(retries={"total_max_attempts": 1}),
    }
    return boto3.session.Session(botocore_session=botocore.session.Session()).client("batch", **given | changes)


def queues(lines: dict[str, str], **changes: Any) -> list[str]:
    """The queues that a client sees."""
    batch = client(lines, **changes)
    try:
        return [queue["jobQueueName"] for queue in batch.describe_job_queues()["jobQueues"]]
    finally:
        batch.close()


def answers(lines: dict[str, str]) -> bool:
    """Whether somebody answers there."""
    try:
        return queues(lines) == ["default"]
    except botocore.exceptions.BotoCoreError:
        return False


@pytest.fixture
def served(shell: Shell) -> dict[str, str]:
    """The variables of an endpoint that is open."""
    return variables(shell("serve", "--port", "0", "--detach").out)


@pytest.fixture
def foreground(shell: Shell) -> Iterator[Callable[[], tuple[subprocess.Popen[str], dict[str, str]]]]:
    """`spawn serve` on a free port as a process that stays, and its variables."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], dict[str, str]]:
        process = shell.start("serve", "--port", "0")
        started.append(process)
        assert process.stdout is not None
        assert process.stderr is not None
        lines = "".join(process.stdout.readline() for _ in range(7))
        process.stderr.readline()
        return process, variables(lines)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_an_eval_is_all_that_a_shell_needs(shell: Shell) -> None:
    script = f'spawn serve --port 0 --detach >/dev/null && eval "$(spawn serve --print-env)" && exec {shlex.quote(sys.executable)} -c "$1"'
    done = subprocess.run(["sh", "-c", script, "sh", QUEUES], cwd=shell.cwd, env=shell.environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['default']\n['/aws/batch/job']\n", "")


def test_credentials_of_the_users_own_are_accepted_as_they_are(shell: Shell) -> None:
    own = {"AWS_ACCESS_KEY_ID": "AKIAOWN", "AWS_SECRET_ACCESS_KEY": "own"}
    lines = variables(shell("serve", "--port", "0", "--detach", **own).out)
    assert queues(lines | own) == ["default"]
    other = {"AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": "other"}
    with pytest.raises(botocore.exceptions.ClientError, match="UnrecognizedClientException"):
        queues(lines | other)
    shell("serve", "--print-env", **other)
    assert queues(lines | other) == queues(lines | own) == ["default"]


def signed(lines: dict[str, str], body: bytes) -> AWSRequest:
    """A SubmitJob as it should be."""
    request = AWSRequest(method="POST", url=f"{lines['AWS_ENDPOINT_URL_BATCH']}/v1/submitjob", data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(lines["AWS_ACCESS_KEY_ID"], lines["AWS_SECRET_ACCESS_KEY"]), "batch", "us-east-1").add_auth(request)
    return request


def sent(lines: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """Send exactly this: the status and the code of the answer."""
    connection = http.client.HTTPConnection(urlsplit(lines["AWS_ENDPOINT_URL_BATCH"]).netloc, timeout=60)
    connection.request("POST", "/v1/submitjob", body=body, headers=headers)
    answer = connection.getresponse()
    code = json.loads(answer.read())["__type"]
    connection.close()
    assert answer.headers["x-amzn-errortype"] == code
    return answer.status, code


def test_what_is_not_signed_as_it_should_be_is_refused_and_nothing_is_run(shell: Shell, served: dict[str, str]) -> None:
    mark = shell.cwd / "mark"
    batch = client(served)
    definition = {"image": "none", "command": ["touch", str(mark)], "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]}
    batch.register_job_definition(jobDefinitionName="touch", type="container", containerProperties=definition)
    body = json.dumps({"jobName": "evil", "jobQueue": "default", "jobDefinition": "touch"}).encode()
    good = dict(signed(served, body).headers)
    wrong_secret = dict(signed(served | {"AWS_SECRET_ACCESS_KEY": "wrong"}, body).headers)
    wrong_key = dict(signed(served | {"AWS_ACCESS_KEY_ID": "AKIAWRONG"}, body).headers)
    stale = good | {"X-Amz-Date": "20200101T000000Z", "Authorization": good["Authorization"].replace(good["X-Amz-Date"][:8], "20200101")}
    unsigned = {name: value for name, value in good.items() if name not in ("Authorization", "X-Amz-Date")}
    assert sent(served, wrong_secret, body) == (403, "InvalidSignatureException")
    assert sent(served, wrong_key, body) == (403, "UnrecognizedClientException")
    assert sent(served, stale, body) == (403, "InvalidSignatureException")
    assert sent(served, unsigned, body) == (403, "MissingAuthenticationTokenException")
    assert sent(served, good, body.replace(b"evil", b"good")) == (403, "InvalidSignatureException")
    assert shell("status", "-o", "json").json == []
    assert not mark.exists()
    batch.submit_job(jobName="good", jobQueue="default", jobDefinition="touch")
    eventually(mark.exists)
    batch.close()


def test_an_engine_that_is_killed_comes_back_with_the_same_endpoint(shell: Shell, foreground: Any) -> None:
    process, lines = foreground()
    shell.kill(shell.engine()["pid"])
    eventually(lambda: answers(lines))
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not answers(lines)
    assert not (shell.state / "endpoint.json").exists()


def test_an_endpoint_that_was_detached_is_opened_again_by_the_next_engine(shell: Shell, served: dict[str, str]) -> None:
    shell.kill(shell.engine()["pid"])
    assert not answers(served)
    assert variables(shell("serve", "--print-env").out) == served
    assert answers(served)
    shell("engine", "stop")
    assert not answers(served)
    shell("engine", "start")
    assert answers(served)


def test_stop_forgets_it_also_when_no_engine_runs(shell: Shell, served: dict[str, str]) -> None:
    shell("engine", "stop")
    shell("serve", "stop")
    assert not (shell.state / "endpoint.json").exists()
    shell("engine", "stop")
    shell("engine", "start")
    assert not answers(served)
    assert shell("serve", "--print-env", code=4).out == ""


def test_an_engine_with_an_endpoint_does_not_end_from_idleness(shell: Shell) -> None:
    shell.environment["SPAWN_ENGINE_IDLE_EXIT"] = "1s"
    shell("serve", "--port", "0", "--detach")
    kept = shell.engine()["pid"]
    other = {"SPAWN_STATE_DIR": str(shell.home / "other")}
    idle = int(shell("engine", "start", "-q", **other).out)
    eventually(lambda: not alive(idle))
    assert alive(kept)
    shell("serve", "stop")
    eventually(lambda: not alive(kept))


def test_two_users_of_one_machine_do_not_share_a_port(shell: Shell, served: dict[str, str]) -> None:
    port = str(urlsplit(served["AWS_ENDPOINT_URL_BATCH"]).port)
    other = {"SPAWN_STATE_DIR": str(shell.home / "other")}
    refused = shell("serve", "--port", port, code=5, **other)
    assert refused.out == ""
    assert "--port 0" in refused.err
    assert not (shell.home / "other" / "endpoint.json").exists()
    shell("engine", "stop", "--terminate", "--yes", **other)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_with_a_certificate_that_signed_itself(shell: Shell) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-addext", "subjectAltName=DNS:localhost", "-out", "cert.pem", "-keyout", "key.pem"]
    subprocess.run([*made, *files], cwd=shell.cwd, check=True, capture_output=True)
    done = shell("serve", "--port", "0", "--host", "localhost", "--certfile", "cert.pem", "--keyfile", "key.pem", "--detach")
    certificate = str(shell.cwd / "cert.pem")
    assert f"`export AWS_CA_BUNDLE={certificate}` lets them accept it" in done.err
    lines = variables(done.out)
    assert lines["AWS_ENDPOINT_URL_BATCH"].startswith("https://localhost:")
    assert queues(lines, verify=certificate) == ["default"]
    with pytest.raises(botocore.exceptions.SSLError):
        queues(lines)
    assert shell("serve", "--print-env", AWS_CA_BUNDLE=certificate).err == ""


def test_answers_keep_to_their_schema_and_no_secret_is_shown_or_logged(shell: Shell, served: dict[str, str]) -> None:
    status = shell("serve", "status", "-o", "json")
    check("endpoint", status.json)
    assert status.json["access_key_ids"] == [served["AWS_ACCESS_KEY_ID"]]
    queues(served)
    shell("serve", "stop")
    secret = served["AWS_SECRET_ACCESS_KEY"]
    assert secret not in status.out + (shell.state / "engine.log").read_text()
    assert not [path for path in shell.state.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_operations_of_batch_need_no_endpoint_on_the_engines_own_socket(shell: Shell) -> None:
    shell("engine", "start")
    engine = Client(Path(shell.state))
    assert [queue["jobQueueName"] for queue in engine.batch("DescribeJobQueues", {})["jobQueues"]] == ["default"]
    with pytest.raises(NotFound, match="there is no operation 'Frobnicate' here"):
        engine.batch("Frobnicate", {})
    with pytest.raises(UsageError, match="jobQueue"):
        engine.batch("SubmitJob", {"jobName": "x"})
