"""The instance metadata service."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.credentials import InstanceMetadataProvider
from botocore.utils import InstanceMetadataFetcher, InstanceMetadataRegionFetcher

from spawn.testing.ec2lab.boot import fetching
from spawn.testing.ec2lab.boot.metadata import MetadataServer
from spawn.testing.ec2lab.machines import Machine
from tests.ec2lab.boot.conftest import Recorder, a_machine

_MACHINE = a_machine(b"\x1f\x8bbytes", launch_index=7, spot=True, key_name="mine", tags={"Name": "sim-7", "array:id": "a"}, private_ip="10.9.8.7")
_BARE = a_machine(profile=None, role=None)
_ODD = a_machine(role="gone")
_ALL = {machine.instance_id: machine for machine in (_MACHINE, _BARE, _ODD)}


@pytest.fixture(scope="module")
def service() -> Iterator[MetadataServer]:
    server = MetadataServer(Recorder(), lambda instance_id: _ALL[instance_id], clock=lambda: 1_800_000_000.0)
    yield server
    server.close()


def _ask(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, method=method, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def _token(service: MetadataServer, machine: Machine = _MACHINE) -> str:
    status, token = _ask(service.endpoint(machine.instance_id) + "latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    assert status == 200
    return token.decode()


def _get(service: MetadataServer, path: str, machine: Machine = _MACHINE) -> str | None:
    status, body = _ask(service.endpoint(machine.instance_id) + "latest/" + path, X_aws_ec2_metadata_token=_token(service, machine))
    assert status in {200, 404}
    return body.decode("latin-1") if status == 200 else None


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("meta-data/instance-id", _MACHINE.instance_id),
        ("meta-data/ami-launch-index", "7"),
        ("meta-data/ami-id", "ami-al2023"),
        ("meta-data/instance-type", "c7i.large"),
        ("meta-data/local-ipv4", "10.9.8.7"),
        ("meta-data/hostname", "ip-10-9-8-7.us-east-1.compute.internal"),
        ("meta-data/placement/region", "us-east-1"),
        ("meta-data/placement/availability-zone", "us-east-1b"),
        ("meta-data/instance-life-cycle", "spot"),
        ("meta-data/iam/security-credentials/", "role-of-spored"),
        ("meta-data/tags/instance/", "Name\narray:id"),
        ("meta-data/tags/instance/array:id", "a"),
        ("meta-data/public-keys/", "0=mine"),
        ("user-data", "\x1f\x8bbytes"),
        ("meta-data/nothing", None),
        ("meta-data/spot/instance-action", None),
        ("meta-data/iam/security-credentials/another", None),
    ],
)
def test_each_path_says_what_ec2_says(service: MetadataServer, path: str, says: str | None) -> None:
    assert _get(service, path) == says


def test_a_directory_lists_what_is_in_it(service: MetadataServer) -> None:
    listed = (_get(service, "meta-data/") or "").split("\n")
    assert "placement/" in listed
    assert "instance-id" in listed
    assert _get(service, "meta-data/placement/") == "availability-zone\nregion"


def test_a_machine_without_a_role_has_no_credentials(service: MetadataServer) -> None:
    assert _get(service, "meta-data/iam/security-credentials/", _BARE) is None
    assert _get(service, "meta-data/iam/info", _BARE) is None
    assert _get(service, "meta-data/iam/security-credentials/gone", _ODD) is None
    assert json.loads(_get(service, "meta-data/iam/info") or "")["InstanceProfileArn"].endswith(":instance-profile/profile-of-spored")


def test_the_identity_document_tells_when_it_was_powered_on(service: MetadataServer) -> None:
    document = json.loads(_get(service, "dynamic/instance-identity/document") or "")
    assert document["instanceId"] == _MACHINE.instance_id
    assert document["pendingTime"] == "2027-01-15T08:00:00Z"


def test_nothing_is_said_without_a_token_of_this_machine(service: MetadataServer) -> None:
    url = service.endpoint(_MACHINE.instance_id) + "latest/meta-data/instance-id"
    assert _ask(url)[0] == 401
    assert _ask(url, X_aws_ec2_metadata_token="made up")[0] == 401
    assert _ask(url, X_aws_ec2_metadata_token=_token(service, _BARE))[0] == 401
    assert _ask(url, X_aws_ec2_metadata_token=_token(service))[0] == 200


@pytest.mark.parametrize("ttl", ["", "0", "21601", "long"])
def test_a_token_has_a_life_of_one_second_to_six_hours(service: MetadataServer, ttl: str) -> None:
    assert _ask(service.endpoint(_MACHINE.instance_id) + "latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds=ttl)[0] == 400


def test_a_machine_that_is_unknown_gets_no_token(service: MetadataServer) -> None:
    assert _ask(service.endpoint("i-0") + "latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")[0] == 404


def test_an_interruption_is_told_until_the_next_power_on_and_to_spot_instances_only(service: MetadataServer) -> None:
    for machine in (_MACHINE, _BARE):
        service.notice(machine.instance_id, "terminate", datetime(2027, 1, 15, 9, 0, tzinfo=UTC).timestamp())
    assert json.loads(_get(service, "meta-data/spot/instance-action") or "") == {"action": "terminate", "time": "2027-01-15T09:00:00Z"}
    assert _get(service, "meta-data/spot/termination-time") == "2027-01-15T09:00:00Z"
    assert _get(service, "meta-data/spot/instance-action", _BARE) is None
    service.powered_on(_MACHINE.instance_id)
    assert _get(service, "meta-data/spot/instance-action") is None


def test_the_stand_in_for_curl_asks_as_curl_does(service: MetadataServer, tmp_path: Path) -> None:
    def curl(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-IS", fetching.__file__, *words], capture_output=True, text=True, timeout=60)

    url = service.endpoint(_MACHINE.instance_id) + "latest/"
    token = curl("-sS", "-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60", url + "api/token").stdout
    done = curl("-fsSL", "-H", f"X-aws-ec2-metadata-token: {token}", "-o", str(tmp_path / "out"), url + "meta-data/ami-id")
    assert (done.returncode, (tmp_path / "out").read_text()) == (0, "ami-al2023")
    assert (curl("-sf", url + "meta-data/ami-id").returncode, curl("-s", url + "meta-data/ami-id").returncode) == (22, 0)
    refused = curl("-sS", "--retry", "1", "--retry-delay", "0", "http://127.0.0.1:9/path?secret")
    assert (refused.returncode, refused.stderr) == (7, "curl: (7) http://127.0.0.1:9/path could not be fetched\n")


def test_botocore_finds_its_credentials_and_region(service: MetadataServer) -> None:
    config = {"ec2_metadata_service_endpoint": service.endpoint(_MACHINE.instance_id)}
    found = InstanceMetadataProvider(InstanceMetadataFetcher(timeout=20, config=config, env={})).load()
    assert found is not None
    frozen = found.get_frozen_credentials()
    assert (frozen.access_key, frozen.secret_key, frozen.token) == ("AKIAIOSFODNN7EXAMPLE", "a/secret", "a token")
    assert InstanceMetadataRegionFetcher(timeout=20, config=config, env={}).retrieve_region() == "us-east-1"
