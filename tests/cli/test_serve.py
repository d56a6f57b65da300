"""`spawn serve`: what is asked of the engine, and the lines that a shell gets."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from canned import PAIR, check, endpoint
from fake_engine import FakeEngine, refuse
from running import Run, command

OWN = {"AWS_ACCESS_KEY_ID": "AKIAMYOWNKEY00000001", "AWS_SECRET_ACCESS_KEY": "s3cr3t/+"}

Foreground = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def foreground(environment: dict[str, str], home: Path) -> Iterator[Foreground]:
    """`spawn serve` as a process that stays; it serves when this returns."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command("serve", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=home, start_new_session=True
        )
        started.append(process)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("serving at "), process.communicate()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def lines(text: str) -> dict[str, str]:
    """The variables that a shell would have."""
    words = [shlex.split(line) for line in text.splitlines()]
    assert all(word[0] == "export" and len(word) == 2 for word in words)
    return dict(word[1].split("=", 1) for word in words)


def opened_with(fake: FakeEngine) -> Any:
    (body,) = [body for method, path, body in fake.asked if (method, path) == ("PUT", "/v1/endpoint")]
    return body


def test_without_credentials_the_lines_have_the_pair_that_was_made(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("serve", "--detach")
    url = "http://127.0.0.1:8642"
    assert result.code == 0
    assert lines(result.out) == {
        "AWS_ENDPOINT_URL_BATCH": url,
        "AWS_ENDPOINT_URL_LOGS": url,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": PAIR["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": PAIR["secret_access_key"],
    }
    assert opened_with(fake) == {"host": "127.0.0.1", "port": 8642, "verify": True, "certfile": None, "keyfile": None, "keys": []}


def test_own_credentials_are_handed_over_and_not_printed(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("serve", "--detach", AWS_REGION="eu-west-1", **OWN)
    assert opened_with(fake)["keys"] == [{"access_key_id": OWN["AWS_ACCESS_KEY_ID"], "secret_access_key": OWN["AWS_SECRET_ACCESS_KEY"]}]
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & set(lines(result.out))
    assert lines(result.out)["AWS_DEFAULT_REGION"] == lines(result.out)["AWS_REGION"] == "eu-west-1"
    assert "your own AWS credentials (AKIA…0001) are accepted" in result.err
    assert OWN["AWS_SECRET_ACCESS_KEY"] not in result.out + result.err


def test_credentials_and_region_of_a_profile_are_found(fake: FakeEngine, spawn: Run, home: Path) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text("[profile lab]\nregion = ap-south-1\naws_access_key_id = AKIALAB\naws_secret_access_key = lab\n")
    result = spawn("serve", "--detach", AWS_PROFILE="lab")
    assert opened_with(fake)["keys"] == [{"access_key_id": "AKIALAB", "secret_access_key": "lab"}]
    assert lines(result.out)["AWS_REGION"] == "ap-south-1"


def test_temporary_credentials_are_accepted_with_a_word_about_their_end(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("serve", "--detach", AWS_SESSION_TOKEN="token", **OWN)
    assert len(opened_with(fake)["keys"]) == 1
    assert "they are temporary: when they change, `spawn serve --print-env`" in result.err


def test_credentials_that_cannot_be_had_are_replaced_and_it_is_said(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("serve", "--detach", AWS_ACCESS_KEY_ID="AKIAHALF")
    assert result.code == 0
    assert "warning: your AWS credentials cannot be had (Partial credentials found in env" in result.err
    assert lines(result.out)["AWS_ACCESS_KEY_ID"] == PAIR["access_key_id"]


def test_a_profile_that_does_not_exist_is_refused_before_anything_is_opened(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("serve", "--detach", AWS_PROFILE="nobody")
    assert (result.code, result.out, fake.asked) == (3, "", [])
    assert result.err.startswith("error: AWS clients cannot work with your settings: The config profile (nobody) could not be found")


def test_a_setting_that_makes_clients_ignore_endpoints_is_overruled(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("serve", "--detach", AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true")
    assert lines(result.out)["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] == "false"
    assert "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false overrules that" in result.err


def test_what_the_shell_would_take_for_its_own_is_quoted(fake: FakeEngine, spawn: Run, home: Path) -> None:
    result = spawn("serve", "--detach", AWS_DEFAULT_REGION="x; touch oops $(touch oops)")
    shell = subprocess.run(["sh", "-c", 'eval "$1"; printf %s "$AWS_REGION"', "sh", result.out], capture_output=True, text=True, cwd=home, check=True)
    assert shell.stdout == "x; touch oops $(touch oops)"
    assert not (home / "oops").exists()


def test_print_env_hands_the_credentials_of_this_shell_to_the_endpoint_that_is_open(fake: FakeEngine, spawn: Run) -> None:
    fake.endpoint = endpoint(port=9000, url="http://127.0.0.1:9000", verify=False)
    result = spawn("serve", "--print-env", **OWN)
    assert result.code == 0
    assert lines(result.out)["AWS_ENDPOINT_URL_BATCH"] == "http://127.0.0.1:9000"
    assert (opened_with(fake)["port"], opened_with(fake)["verify"]) == (9000, False)
    assert [key["access_key_id"] for key in opened_with(fake)["keys"]] == [OWN["AWS_ACCESS_KEY_ID"]]


def test_print_env_without_an_endpoint_opens_none(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("serve", "--print-env")
    assert (result.code, result.out) == (4, "")
    assert result.err == "error: no endpoint is open: `spawn serve --detach` opens one\n"
    assert fake.endpoint is None


def test_print_env_beside_an_endpoint_that_waits_for_its_port_prints_nothing(fake: FakeEngine, spawn: Run) -> None:
    fake.endpoint = endpoint(open=False, reason="port 8642 is in use")
    result = spawn("serve", "--print-env")
    assert (result.code, result.out) == (6, "")
    assert result.err == "error: the endpoint at http://127.0.0.1:8642 is not open: port 8642 is in use\n"


@pytest.mark.parametrize("arguments", [("--print-env",), ("status",)])
def test_neither_print_env_nor_status_starts_an_engine_for_nothing(spawn: Run, state_dir: Path, arguments: tuple[str, ...]) -> None:
    assert spawn("serve", *arguments).code == 4
    assert list(state_dir.iterdir()) == []


def test_stop_closes_and_says_so_and_again_says_that_there_is_none(fake: FakeEngine, spawn: Run) -> None:
    fake.endpoint = endpoint()
    first, second = spawn("serve", "stop"), spawn("serve", "stop")
    assert (first.code, first.out, first.err) == (0, "", "closed http://127.0.0.1:8642; what was submitted there goes on\n")
    assert (second.code, second.out, second.err) == (0, "", "no endpoint is open\n")


def test_stop_without_an_engine_starts_none(spawn: Run, state_dir: Path) -> None:
    assert spawn("serve", "stop").code == 0
    assert list(state_dir.iterdir()) == []


def test_status_is_a_record_and_in_json_keeps_to_its_schema(fake: FakeEngine, spawn: Run) -> None:
    fake.endpoint = endpoint(access_key_ids=["AKIAONE", "AKIATWO"])
    assert spawn("serve", "status").out == "http://127.0.0.1:8642\ttrue\ttrue\t2\t-\t-\n"
    assert spawn("serve", "status", "-q").out == "http://127.0.0.1:8642\n"
    value = json.loads(spawn("serve", "status", "-o", "json").out)
    check("endpoint", value)
    assert value["access_key_ids"] == ["AKIAONE", "AKIATWO"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--print-env", "--port", "1"), "--print-env is about the endpoint that is open, and --port about one to be opened: give one of them"),
        (("--detach", "--print-env"), "--print-env is about the endpoint that is open, and --detach about one to be opened: give one of them"),
        (("--no-verify", "stop"), "--no-verify opens an endpoint and means nothing to `spawn serve stop`: leave it out"),
        (("--certfile", "c.pem"), "--certfile and --keyfile go together: give both, or neither"),
        (("--keyfile", "k.pem"), "--certfile and --keyfile go together: give both, or neither"),
        (("--port", "65536"), "--port: 65536 is not in the range 0<=x<=65535"),
        (("--port", "http"), "--port: 'http' is not a valid integer range"),
    ],
)
def test_flags_that_do_not_fit_are_refused(fake: FakeEngine, in_process: Run, arguments: tuple[str, ...], sentence: str) -> None:
    result = in_process("serve", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: {sentence}\n"
    assert fake.asked == []


def test_files_are_named_from_the_root_because_the_engine_stands_elsewhere(fake: FakeEngine, spawn: Run, home: Path) -> None:
    spawn("serve", "--detach", "--certfile", "c.pem", "--keyfile", "sub/../k.pem")
    assert (opened_with(fake)["certfile"], opened_with(fake)["keyfile"]) == (str(home / "c.pem"), str(home / "k.pem"))


def test_no_verify_says_what_it_means(fake: FakeEngine, spawn: Run) -> None:
    result = spawn("serve", "--detach", "--no-verify")
    assert opened_with(fake)["verify"] is False
    assert "every user of this machine included, can run commands as you" in result.err


def test_what_the_engine_refuses_is_told_with_its_exit_code(fake: FakeEngine, spawn: Run) -> None:
    fake.endpoint = refuse(409, "conflict", "port 8642 of 127.0.0.1 is in use by another program")
    result = spawn("serve")
    assert (result.code, result.out, result.err) == (5, "", "error: port 8642 of 127.0.0.1 is in use by another program\n")
    assert [method for method, path, _ in fake.asked if path == "/v1/endpoint"] == ["PUT"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)])
def test_the_foreground_closes_the_endpoint_when_it_is_told_to_end(fake: FakeEngine, foreground: Foreground, number: int, code: int) -> None:
    process = foreground("--port", "9001")
    assert fake.endpoint is not None
    os.kill(process.pid, number)
    out, err = process.communicate()
    assert (process.returncode, fake.endpoint) == (code, None)
    assert err == "closed http://127.0.0.1:9001\n"
    assert lines(out)["AWS_ENDPOINT_URL_BATCH"] == "http://127.0.0.1:9001"


def test_the_foreground_ends_when_somebody_else_closes_the_endpoint(fake: FakeEngine, foreground: Foreground, spawn: Run) -> None:
    process = foreground()
    spawn("serve", "stop")
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "the endpoint at http://127.0.0.1:8642 was closed by `spawn serve stop`\n")


def test_the_foreground_ends_with_the_engine_that_is_stopped_on_purpose(fake: FakeEngine, foreground: Foreground) -> None:
    process = foreground()
    fake.close()
    _, err = process.communicate()
    assert process.returncode == 6
    assert err == "error: the engine was stopped, and the endpoint with it; the next command that needs the engine opens both again\n"


def test_the_foreground_says_when_the_endpoint_waits_for_its_port_and_when_it_is_back(fake: FakeEngine, foreground: Foreground) -> None:
    process = foreground()
    assert process.stderr is not None
    fake.endpoint = endpoint(open=False, reason="port 8642 of 127.0.0.1 is in use")
    told = "warning: the endpoint at http://127.0.0.1:8642 does not answer: port 8642 of 127.0.0.1 is in use; trying again\n"
    assert process.stderr.readline() == told
    fake.endpoint = endpoint()
    assert process.stderr.readline() == "it answers again at http://127.0.0.1:8642\n"


def test_a_reader_that_leaves_gets_no_endpoint_left_open(fake: FakeEngine, environment: dict[str, str], home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(command("serve"), stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, cwd=home, check=False)
    os.close(writer)
    assert (process.returncode, fake.endpoint) == (141, None)
