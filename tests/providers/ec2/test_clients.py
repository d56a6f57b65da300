"""Clients for an access: from nothing but what it names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.utils import parse_timestamp

from spawn.domain.errors import ConfigurationError, ProviderUnavailable, Unavailable
from spawn.providers.ec2.asking import patiently
from spawn.providers.ec2.clients import Clients
from spawn.providers.ec2.sessions import read_time
from spawn.testing.ec2lab.lab import Lab
from tests.providers.ec2.labs import clients_of, lab

NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent", "AWS_REGION": "us-east-1"}
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA0", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="module")
def where() -> Iterator[Lab]:
    with lab() as made:
        yield made


def test_a_caller_is_asked_for_once(where: Lab) -> None:
    clients = Clients(where.environment())
    before = where.calls.count("GetCallerIdentity")
    assert clients.caller() == clients.caller()
    assert (clients.caller().account, clients.caller().partition) == (where.account, "aws")
    assert where.calls.count("GetCallerIdentity") == before + 1


def test_a_client_is_made_once_for_a_region_and_asks_once(where: Lab) -> None:
    clients = clients_of(where)
    assert clients.client("ec2") is clients.client("ec2", "us-east-1")
    assert clients.client("ec2") is not clients.client("ec2", "us-west-2")
    assert clients.client("ec2").meta.config.retries["total_max_attempts"] == 1


def test_nothing_is_taken_from_the_environment_of_this_process(where: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**where.environment(), "AWS_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="no AWS credentials were found"):
        Clients(NOWHERE).caller()
    with pytest.raises(ConfigurationError, match="no AWS region is set: name one with --region"):
        _ = Clients({"HOME": "/nonexistent"}).region


def test_a_profile_of_the_files_that_an_access_names_is_used(where: Lab, tmp_path: Path) -> None:
    own = where.environment()
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(f"[profile work]\nregion = us-west-2\nendpoint_url = {own['AWS_ENDPOINT_URL']}\n")
    keys = f"aws_access_key_id = {own['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {own['AWS_SECRET_ACCESS_KEY']}\n"
    (tmp_path / ".aws" / "credentials").write_text(f"[work]\n{keys}")
    clients = Clients({"HOME": str(tmp_path), "AWS_PROFILE": "work", "AWS_EC2_METADATA_DISABLED": "true"})
    assert (clients.region, clients.caller().account, clients.endpoint("s3")) == ("us-west-2", where.account, own["AWS_ENDPOINT_URL"])


def test_aws_region_comes_before_that_of_the_profile(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nregion = us-west-2\n")
    assert Clients({"AWS_CONFIG_FILE": str(tmp_path / "config"), "HOME": "/nonexistent"}).region == "us-west-2"
    assert Clients({"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_REGION": "eu-west-1"}).region == "eu-west-1"


def test_a_program_that_gives_credentials_is_asked(where: Lab, tmp_path: Path) -> None:
    own = where.environment()
    program = tmp_path / "keys"
    answer = f'{{"Version": 1, "AccessKeyId": "{own["AWS_ACCESS_KEY_ID"]}", "SecretAccessKey": "{own["AWS_SECRET_ACCESS_KEY"]}"}}'
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\nregion = us-east-1\ncredential_process = {program}\n")
    access = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ENDPOINT_URL": where.endpoint, "HOME": str(tmp_path)}
    assert Clients(access).caller().account == where.account


def test_a_role_profile_is_assumed_with_the_keys_of_its_source(where: Lab, tmp_path: Path) -> None:
    own = where.environment()
    role = f"role_arn = arn:aws:iam::{where.account}:role/batch\nsource_profile = base\n"
    (tmp_path / "config").write_text(f"[profile batch]\nregion = us-east-1\n{role}[profile base]\nregion = us-east-1\n")
    keys = f"aws_access_key_id = {own['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {own['AWS_SECRET_ACCESS_KEY']}\n"
    (tmp_path / "credentials").write_text(f"[base]\n{keys}")
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    with pytest.raises(ConfigurationError, match="InvalidClientTokenId"):
        # the laboratory knows no sessions of roles but those of its instances
        Clients({**files, "AWS_PROFILE": "batch", "AWS_ENDPOINT_URL": where.endpoint, "HOME": str(tmp_path)}).caller()
    assert [call.status for call in where.calls.of("AssumeRole", service="sts")] == [200]


def test_a_login_that_was_never_made_says_how_to_make_it(tmp_path: Path) -> None:
    login = "sso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = batch\n"
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(f"[profile work]\nregion = us-east-1\n{login}")
    with pytest.raises(ConfigurationError, match="run `aws sso login`"):
        Clients({"HOME": str(tmp_path), "AWS_PROFILE": "work", "AWS_EC2_METADATA_DISABLED": "true"}).caller()


def test_the_endpoint_of_one_service_comes_before_that_of_all() -> None:
    clients = Clients({**NOWHERE, **KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:2"})
    assert (clients.client("s3").meta.endpoint_url, clients.client("ec2").meta.endpoint_url) == ("http://127.0.0.1:2", "http://127.0.0.1:1")
    assert Clients({**NOWHERE, **KEYS}).endpoint("s3") is None


@pytest.mark.parametrize(
    ("access", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIA0"}, "the AWS credentials are incomplete"),
        ({"AWS_PROFILE": "nobody"}, r"the AWS credentials could not be read \(The config profile \(nobody\) could not be found\)"),
        ({**KEYS, "AWS_REGION": "no region!"}, "name a region with --region or AWS_REGION"),
    ],
)
def test_settings_that_are_no_good_are_refused_with_what_to_do(access: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Clients({**NOWHERE, **access}).caller()


def test_an_endpoint_where_nobody_listens_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="AWS cannot be reached"):
        Clients({**NOWHERE, **KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).caller()


def test_regions_are_known_without_asking() -> None:
    clients = Clients({**NOWHERE, **KEYS, "AWS_REGION": "us-moon-1"})
    assert {"us-east-1", "cn-north-1"} <= clients.known_regions()
    assert clients.home_region() == "us-east-1"


@pytest.mark.parametrize(
    "said", ["2027-01-15T08:00:00.000Z", "2027-01-15T08:00:00Z", "2027-01-15T08:00:00+00:00", "Fri, 15 Jan 2027 08:00:00 GMT", 1_800_000_000.5]
)
def test_times_are_read_as_botocore_reads_them(said: object) -> None:
    assert read_time(said) == parse_timestamp(said)


def test_who_is_answered_nothing_for_long_is_not_asked_for_ever() -> None:
    seconds, asked = 0.0, 0

    def hang() -> None:
        nonlocal seconds, asked
        seconds, asked = seconds + 30.0, asked + 1
        raise ReadTimeoutError(endpoint_url="https://s3.example/bucket?list-type=2&prefix=arrays")

    said = r'^cannot read the log: AWS did not answer \(Read timeout on endpoint URL: "https://s3.example/bucket"\): try again$'
    with pytest.raises(ProviderUnavailable, match=said):
        patiently(hang, action="read the log", pause=lambda _: None, now=lambda: seconds)
    assert asked == 2
