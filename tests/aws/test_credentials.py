"""The keys that are accepted: those given, and those that stand in the user's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from spawn.api.aws.credentials import KeyRing, shared_keys
from spawn.testing.clock import ManualClock


def test_a_key_ring_finds_keys_that_were_written_after_it_was_made() -> None:
    clock = ManualClock()
    written: dict[str, str] = {}
    looks: list[int] = []

    def look() -> dict[str, str]:
        looks.append(clock.now())
        return dict(written)

    ring = KeyRing({"GIVEN": "s1"}, clock=clock, look=look)
    assert ring.secret_of("GIVEN") == "s1"
    assert looks == []
    assert ring.secret_of("LATER") is None
    written["LATER"] = "s2"
    assert ring.secret_of("LATER") is None, "it looks once in three seconds"
    clock.advance(3)
    assert ring.secret_of("LATER") == "s2"
    assert len(looks) == 2
    assert ring.secret_of("LATER") == "s2"
    assert len(looks) == 2


def test_a_key_ring_forgets_keys_that_are_gone_when_it_looks_again() -> None:
    clock = ManualClock()
    found = [{"A": "s"}, {"B": "s"}]
    ring = KeyRing({}, clock=clock, look=lambda: found.pop(0))
    assert ring.secret_of("A") == "s"
    clock.advance(3)
    assert ring.secret_of("B") == "s"
    assert ring.secret_of("A") is None


def test_a_key_ring_looks_when_the_clock_was_set_back() -> None:
    clock = ManualClock()
    found = [{}, {"A": "s"}]
    ring = KeyRing({}, clock=clock, look=lambda: found.pop(0))
    assert ring.secret_of("A") is None
    clock.advance(-3600)
    assert ring.secret_of("A") == "s"


def test_a_key_ring_shows_no_secret() -> None:
    ring = KeyRing({"GIVEN": "very secret"}, clock=ManualClock(), look=dict)
    assert repr(ring) == "KeyRing(1 given, 0 found)"
    assert "secret" not in str(vars(ring).keys())


def test_the_static_keys_of_all_profiles_are_found_and_no_process_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = A1\naws_secret_access_key = s1\n"
        "[half]\naws_access_key_id = A9\n"
        "[other]\naws_access_key_id=A2\naws_secret_access_key=s2\n"
    )
    (tmp_path / "config").write_text(
        f"[profile third]\naws_access_key_id = A3\naws_secret_access_key = s3\n[profile process]\ncredential_process = touch {ran}\n"
        "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "of no meaning here")
    assert shared_keys() == {"A1": "s1", "A2": "s2", "A3": "s3"}
    assert not ran.exists()


@pytest.mark.parametrize("content", ["[default\naws_access_key_id", "no sections", "\x00\x01", ""])
def test_files_that_are_no_configuration_hold_no_keys(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("credentials", "config"):
        (tmp_path / name).write_text(content)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert shared_keys() == {}
    (tmp_path / "config").write_bytes(b"\xff\xfe[default]")
    assert shared_keys() == {}
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path))
    assert shared_keys() == {}
