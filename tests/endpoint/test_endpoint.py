"""The endpoint: opened, written down, opened again, closed; and what it refuses leaves no trace."""

from __future__ import annotations

import http.client
import json
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from spawn.api.native.door import KeyPair, Opening
from spawn.api.tcp import listen_tcp
from spawn.domain.errors import ConfigurationError, Conflict, NotFound, SpawnError, Unavailable, UsageError
from spawn.endpoint.endpoint import Endpoint
from spawn.endpoint.kept import Kept, new_pair
from tests.endpoint.conftest import Certificate

MINE = KeyPair(access_key_id="AKIAMINE", secret_access_key="mine")
YOURS = KeyPair(access_key_id="AKIAYOURS", secret_access_key="yours")


class Answers:
    """Operations that answer with the secrets that are accepted at that moment; `null`: nothing is verified."""

    def app(self, secrets: Callable[[], Mapping[str, str]] | None) -> Any:
        class App:
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                body = json.dumps(None if secrets is None else dict(secrets())).encode()
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
                await send({"type": "http.response.body", "body": body})

            def close(self) -> None:
                """Nothing to end."""

        return App()


class Engine:
    """One that may be about to end."""

    def __init__(self) -> None:
        self.ending = False

    def alive(self) -> None:
        if self.ending:
            raise Unavailable("the engine is ending: try again")


Make = Callable[[], Endpoint]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def make(tmp_path: Path, engine: Engine) -> Iterator[Make]:
    """The endpoint of one engine after the other, in the same state directory."""
    made: list[Endpoint] = []

    def one() -> Endpoint:
        made.append(Endpoint(tmp_path / "endpoint.json", Answers(), engine.alive))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for endpoint in made:
        endpoint.shut()


def opening(*keys: KeyPair, port: int = 0, **changes: Any) -> Opening:
    return Opening(**{"host": "127.0.0.1", "port": port, "keys": keys} | changes)


def accepted(port: int) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_port_0_takes_a_free_one_and_says_which(make: Make) -> None:
    opened = make().open(opening())
    assert opened["open"] is True
    assert opened["url"] == f"http://127.0.0.1:{opened['port']}"
    assert accepted(opened["port"]) == {opened["pair"]["access_key_id"]: opened["pair"]["secret_access_key"]}


def test_who_has_keys_is_told_none(make: Make) -> None:
    opened = make().open(opening(MINE))
    assert opened["pair"] is None
    assert accepted(opened["port"]) == {"AKIAMINE": "mine"}


def test_all_who_have_none_share_the_pair_that_is_made_once(make: Make) -> None:
    endpoint = make()
    first = endpoint.open(opening(MINE))
    second, third = endpoint.open(opening()), endpoint.open(opening())
    assert second["pair"] == third["pair"] != first["pair"]
    assert set(accepted(first["port"])) == {"AKIAMINE", second["pair"]["access_key_id"]}


def test_opening_again_changes_nothing_but_that_new_keys_are_accepted(make: Make) -> None:
    endpoint = make()
    opened = endpoint.open(opening(MINE))
    again = endpoint.open(opening(YOURS, port=opened["port"]))
    assert again["port"] == opened["port"]
    assert accepted(opened["port"]) == {"AKIAMINE": "mine", "AKIAYOURS": "yours"}
    endpoint.open(opening(KeyPair(access_key_id="AKIAMINE", secret_access_key="newer")))
    assert accepted(opened["port"]) == {"AKIAMINE": "newer", "AKIAYOURS": "yours"}


@pytest.mark.parametrize("other", [{"port": 1}, {"host": "localhost"}, {"verify": False}, {"certfile": "/c", "keyfile": "/k"}])
def test_other_settings_are_refused_while_it_is_open(make: Make, other: dict[str, Any]) -> None:
    endpoint = make()
    opened = endpoint.open(opening(MINE))
    with pytest.raises(Conflict, match=re.escape(f"is open at {opened['url']}") + ".*`spawn serve stop` closes it"):
        endpoint.open(opening(YOURS, **other))
    assert accepted(opened["port"]) == {"AKIAMINE": "mine"}


def test_without_verification_nobody_is_asked(make: Make) -> None:
    assert accepted(make().open(opening(MINE, verify=False))["port"]) is None


def test_the_file_is_for_its_owner_alone_and_no_secret_is_in_what_is_described(make: Make, tmp_path: Path) -> None:
    endpoint = make()
    endpoint.open(opening(MINE))
    endpoint.open(opening())
    file = tmp_path / "endpoint.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())
    assert kept["keys"] == [{"access_key_id": "AKIAMINE", "secret_access_key": "mine"}]
    described = endpoint.describe()
    assert described["access_key_ids"] == ["AKIAMINE", kept["pair"]["access_key_id"]]
    assert kept["pair"]["secret_access_key"] not in json.dumps(described)


def test_the_next_engine_opens_the_same_one(make: Make) -> None:
    first = make()
    before = first.open(opening())
    first.open(opening(MINE))
    first.shut()
    second = make()
    second.resume()
    assert second.describe() == {name: value for name, value in before.items() if name != "pair"} | {
        "access_key_ids": ["AKIAMINE", before["pair"]["access_key_id"]]
    }
    assert second.open(opening())["pair"] == before["pair"]
    assert set(accepted(before["port"])) == {"AKIAMINE", before["pair"]["access_key_id"]}


def test_a_port_that_is_taken_by_then_is_told_and_tried_again(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    first = make()
    port = first.open(opening(MINE))["port"]
    first.shut()
    second = make()
    with listen_tcp("127.0.0.1", port):
        second.resume()
        second.resume()
        described = second.describe()
        assert (described["open"], second.is_wanted) == (False, True)
        assert described["reason"].startswith(f"port {port} of 127.0.0.1 is in use")
        with pytest.raises(Conflict, match="is in use by another program"):
            second.open(opening(port=port))
        assert second.describe()["reason"] == described["reason"]
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    second.resume()
    assert (second.describe()["open"], second.describe()["reason"]) == (True, None)
    assert accepted(port) == {"AKIAMINE": "mine"}


def test_who_opens_one_that_waits_opens_it_at_once_when_the_port_is_free(make: Make) -> None:
    first = make()
    port = first.open(opening(MINE))["port"]
    first.shut()
    second = make()
    with listen_tcp("127.0.0.1", port):
        second.resume()
    assert second.open(opening(YOURS, port=port))["open"] is True
    assert accepted(port) == {"AKIAMINE": "mine", "AKIAYOURS": "yours"}


def test_what_is_closed_stays_closed(make: Make, tmp_path: Path) -> None:
    endpoint = make()
    port = endpoint.open(opening())["port"]
    assert endpoint.close()["open"] is False
    assert (list(tmp_path.iterdir()), endpoint.is_wanted) == ([], False)
    listen_tcp("127.0.0.1", port).close()
    for late in (endpoint, make()):
        late.resume()
        for call in (late.describe, late.close):
            with pytest.raises(NotFound, match="`spawn serve --detach` opens one"):
                call()


def test_one_that_waits_for_its_port_can_be_closed(make: Make, tmp_path: Path) -> None:
    first = make()
    port = first.open(opening())["port"]
    first.shut()
    second = make()
    with listen_tcp("127.0.0.1", port):
        second.resume()
        second.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"host": 3}', b"\xff\xfe", b"[]"])
def test_a_file_that_is_not_understood_is_told_and_written_anew(make: Make, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "endpoint.json").write_bytes(content)
    endpoint = make()
    endpoint.resume()
    endpoint.resume()
    assert ["is not understood" in record.message for record in caplog.records] == [True]
    assert not endpoint.is_wanted
    assert endpoint.open(opening())["open"] is True


def test_files_for_tls_that_have_gone_are_told_and_tried_again(make: Make, certificate: Certificate, tmp_path: Path) -> None:
    certfile = tmp_path / "cert.pem"
    certfile.write_bytes(Path(certificate.certfile).read_bytes())
    first = make()
    first.open(opening(certfile=str(certfile), keyfile=certificate.keyfile))
    first.shut()
    certfile.unlink()
    second = make()
    second.resume()
    assert second.describe()["reason"] == f"{certfile}: No such file or directory"
    certfile.write_bytes(Path(certificate.certfile).read_bytes())
    second.resume()
    assert second.describe()["open"] is True


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"host": "0.0.0.0"}, UsageError, "lets other machines in"),
        ({"host": "::"}, UsageError, "lets other machines in"),
        ({"host": "10.9.8.7"}, UsageError, "lets other machines in"),
        ({"host": "0.0.0.0", "verify": False, "certfile": "/c", "keyfile": "/k"}, UsageError, "and not --no-verify"),
        ({"host": ""}, UsageError, "is neither an address nor a name"),
        ({"certfile": "/c"}, UsageError, "go together"),
        ({"keyfile": "/k"}, UsageError, "go together"),
        ({"certfile": "/no/c", "keyfile": "/no/k"}, ConfigurationError, "/no/c: No such file or directory"),
    ],
)
def test_what_is_refused_leaves_nothing(make: Make, tmp_path: Path, changes: dict[str, Any], kind: type[SpawnError], sentence: str) -> None:
    endpoint = make()
    with pytest.raises(kind, match=sentence):
        endpoint.open(opening(**changes))
    assert (list(tmp_path.iterdir()), endpoint.is_wanted) == ([], False)


def test_with_tls_and_verification_other_machines_may_come_in(make: Make, certificate: Certificate) -> None:
    opened = make().open(opening(host="0.0.0.0", certfile=certificate.certfile, keyfile=certificate.keyfile))
    assert opened["open"] is True
    assert opened["url"].startswith("https://")
    assert "0.0.0.0" not in opened["url"]


def test_what_cannot_be_written_down_is_not_opened(engine: Engine, tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path / "none" / "endpoint.json", Answers(), engine.alive)  # type: ignore[arg-type]
    with listen_tcp("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match="could not be written, so nothing was changed: No such file or directory"):
        endpoint.open(opening(port=port))
    assert not endpoint.is_wanted
    listen_tcp("127.0.0.1", port).close()


def test_an_engine_that_is_about_to_end_opens_nothing(make: Make, engine: Engine, tmp_path: Path) -> None:
    endpoint = make()
    engine.ending = True
    with pytest.raises(Unavailable, match="try again"):
        endpoint.open(opening())
    assert (list(tmp_path.iterdir()), endpoint.is_wanted) == ([], False)


def test_an_endpoint_keeps_its_engine_from_the_first_word_of_opening_on(tmp_path: Path) -> None:
    seen: list[bool] = []
    endpoint = Endpoint(tmp_path / "endpoint.json", Answers(), lambda: seen.append(endpoint.is_wanted))  # type: ignore[arg-type]
    endpoint.open(opening())
    assert seen == [True]
    endpoint.shut()


def test_once_shut_nothing_opens_any_more(make: Make, tmp_path: Path) -> None:
    endpoint = make()
    port = endpoint.open(opening())["port"]
    endpoint.shut()
    endpoint.resume()
    with pytest.raises(Unavailable, match="the engine is stopping"):
        endpoint.open(opening())
    listen_tcp("127.0.0.1", port).close()
    assert (tmp_path / "endpoint.json").exists()


def test_pairs_have_the_form_that_aws_gives_them_and_are_never_shown() -> None:
    pairs = [new_pair() for _ in range(50)]
    assert all(re.fullmatch("AKIA[A-Z2-7]{16}", pair.access_key_id) and re.fullmatch("[A-Za-z0-9+/]{40}", pair.secret_access_key) for pair in pairs)
    assert len({pair.secret_access_key for pair in pairs}) == 50
    kept = Kept(host="h", port=1, verify=True, certfile=None, keyfile=None, keys=(MINE,), pair=pairs[0])
    assert "mine" not in repr(kept) + repr(MINE)
    assert pairs[0].secret_access_key not in repr(kept) + repr(pairs[0])


@given(st.lists(st.integers(0, 99), max_size=150))
def test_the_last_64_keys_are_kept_each_once(numbers: list[int]) -> None:
    kept = Kept(host="h", port=1, verify=True, certfile=None, keyfile=None)
    for place, number in enumerate(numbers):
        kept = kept.joined((KeyPair(access_key_id=f"AKIA{number}", secret_access_key=str(place)),))
    newest: dict[str, str] = {}
    for place, number in reversed(list(enumerate(numbers))):
        newest.setdefault(f"AKIA{number}", str(place))
    assert kept.secrets() == dict(list(newest.items())[:64])
    assert list(kept.secrets()) == list(newest)[:64][::-1]


@pytest.mark.parametrize(
    ("host", "certfile", "url"),
    [("127.0.0.1", None, "http://127.0.0.1:81"), ("::1", None, "http://[::1]:81"), ("here.example", "/c", "https://here.example:81")],
)
def test_the_url_is_what_a_client_can_use(host: str, certfile: str | None, url: str) -> None:
    assert Kept(host=host, port=81, verify=True, certfile=certfile, keyfile=certfile).url == url
