"""A launch that is in the bucket, read by an instance whose role is not known everywhere yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from spored.errors import SporedError
from spored.instance.staged import Staged, Waiting, fetched, staged_of
from spored.instance.starting import instance
from tests.spored.instance.cloud import BUCKET, Cloud

KEY = "arrays/1/launch/token.json"
CONTENT = b'{"wire": 1, "spec": {"environment": {"KEY": "s3cr3t"}}}'
FLAGS = {"--bucket": BUCKET, "--region": "eu-central-1", "--key": KEY, "--sha256": hashlib.sha256(CONTENT).hexdigest()}


class Time:
    """Passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.at_sleep: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.at_sleep()

    def fetch(self, cloud: Cloud, **changes: str) -> bytes:
        staged = staged_of({**FLAGS, "--endpoint": f"{cloud.url}/s3/", **changes})
        assert staged is not None
        environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": cloud.add_instance("i-1") if "i-1" not in cloud.metadata else f"{cloud.url}/imds/i-1"}
        return fetched(staged, environment, Waiting(self.said.append, lambda: self.now, self.sleep))


def test_what_was_launched_is_read_with_the_credentials_of_the_role(cloud: Cloud) -> None:
    cloud.objects[KEY] = CONTENT
    time = Time()
    assert time.fetch(cloud) == CONTENT
    assert (time.now, time.said) == (0.0, [])


def test_a_role_that_has_no_credentials_yet_then_is_unknown_and_then_refused_is_waited_for(cloud: Cloud) -> None:
    cloud.objects[KEY] = CONTENT
    cloud.add_instance("i-1")
    names = cloud.metadata["i-1"].pop("meta-data/iam/security-credentials/")
    time = Time()
    answers = iter([403] * 2 + [503] * 4 + [0] * 4)

    def give() -> None:
        if time.now > 10:
            cloud.metadata["i-1"]["meta-data/iam/security-credentials/"] = names
            cloud.fault = lambda _, path: next(answers, None) if path.startswith("s3/") else None

    time.at_sleep = give
    assert time.fetch(cloud) == CONTENT
    yet = "the configuration of the launch cannot be read yet: "
    assert all(text.startswith(yet) for text in time.said)
    assert [text.removeprefix(yet) for text in time.said[:2]] == [
        "this instance has no role (no instance profile is attached), so it has no credentials",
        f"s3://{BUCKET}/{KEY} is not there, or the role of this instance may not read it (s3:GetObject)",
    ]
    assert any("SlowDown" in text for text in time.said)
    assert len(time.said) == len(set(time.said)), "each reason once"
    assert next(answers, None) is None


def test_what_is_not_there_yet_or_another_one_is_asked_for_again(cloud: Cloud) -> None:
    time = Time()
    kept = iter([b"{}", b"{}", CONTENT])
    time.at_sleep = lambda: cloud.objects.__setitem__(KEY, next(kept))
    assert time.fetch(cloud) == CONTENT
    assert [text.rpartition(f"{KEY} ")[2] for text in time.said] == [
        "is not there, or the role of this instance may not read it (s3:GetObject)",
        "is not what was launched: its SHA-256 is another",
    ]


def test_it_is_given_up_when_it_was_refused_for_ten_minutes_with_growing_pauses(cloud: Cloud) -> None:
    cloud.fault = lambda _, path: 403 if path.startswith("s3/") else None
    time = Time()
    began: list[float] = []

    def go_on() -> None:
        began.append(time.now)
        time.now = 150.0 * len(began)

    time.at_sleep = go_on
    with pytest.raises(SporedError, match=rf"could not be read for 10 minutes: s3://{BUCKET}/{KEY} is not there, or the role") as raised:
        time.fetch(cloud)
    assert "secret" not in str(raised.value)
    assert len(time.said) == 1
    pauses = [now - 150.0 * nth for nth, now in enumerate(began)]
    assert len(pauses) == 4
    assert all(longest / 2 <= pause <= longest for pause, longest in zip(pauses, [1, 2, 4, 8], strict=True))


def test_a_place_is_told_in_full_or_not_at_all_and_only_to_who_reads_it() -> None:
    assert staged_of({}) is None
    assert staged_of(FLAGS) == Staged(BUCKET, "eu-central-1", KEY, FLAGS["--sha256"], None)
    with pytest.raises(SporedError, match="--key is a flag of instance install, not of instance run"):
        instance(["run", "--key", KEY])


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"--endpoint": "http://127.0.0.1:1"}, "--endpoint needs --bucket beside it"),
        ({**FLAGS, "--key": ""}, "--bucket needs --key beside it"),
        ({**FLAGS, "--sha256": "ABC"}, "--sha256 must be 64 hexadecimal digits, not 'ABC'"),
        ({**FLAGS, "--endpoint": "127.0.0.1:1"}, "--endpoint must be a URL, not '127.0.0.1:1'"),
        ({**FLAGS, "--endpoint": "http://127.0.0.1:port"}, "--endpoint must be a URL, not 'http://127.0.0.1:port'"),
    ],
)
def test_a_place_that_cannot_be_is_refused_in_a_sentence(flags: dict[str, str], says: str) -> None:
    with pytest.raises(SporedError) as raised:
        staged_of(flags)
    assert (str(raised.value), raised.value.exit_code) == (says, 2)
