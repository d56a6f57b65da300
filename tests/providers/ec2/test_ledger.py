"""The ledger and what the engine sees of the provider: nothing is told twice, nothing is forgotten, nobody else can read it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.arrays import ArrayJob
from spawn.domain.errors import ConfigurationError
from spawn.domain.ids import ArrayKey, AttemptId
from spawn.domain.instances import Lifetime, OnComplete
from spawn.domain.instants import Instant
from spawn.domain.states import InstanceState
from spawn.engine.encoding import decode_job as store_decode
from spawn.engine.encoding import encode
from spawn.engine.fleets import Unended
from spawn.engine.news import Completed, Dropped, Ended, EndKind, InstanceChanged, Launched, Lost, ProviderEvent, Refused, Started, Usage
from spawn.providers.ec2.ledger import Ledger
from spawn.providers.ec2.orders import Afoot, Orders
from spawn.providers.ec2.provider import Ec2Provider
from spawn.providers.ec2.stored import decode_job, event_of, event_row
from spawn.providers.ec2.views import LedgerReader
from spawn.testing.clock import ManualClock
from tests.domain.making import make_fleet, make_job

A, T = AttemptId(ArrayKey("0123456789"), 3, 2), Instant(5)
EVENTS: list[ProviderEvent] = [
    Launched(A, T, "i-1"),
    Started(A, T),
    Completed(A, T, False, "no"),
    Ended(A, T, EndKind(None, 9, "oom"), Usage(1.5, 10)),
    Refused(A, T, "CannotStartContainerError: no"),
    Dropped(A, T),
    Lost(A, T, "never checked in", True),
    InstanceChanged(A, T, "i-1", InstanceState.STOPPED),
]


@given(st.lists(st.sampled_from(EVENTS)))
def test_events_come_out_as_they_went_in(events: list[ProviderEvent]) -> None:
    rows = [event_row(event) for event in events]
    assert [event_of(*row) for row in rows] == events


def test_a_job_reads_the_same_for_the_store_and_for_another_machine() -> None:
    job = make_job(1, 5, fleet=make_fleet(spot=True), lifetime=Lifetime(on_complete=OnComplete.STOP))
    assert decode_job(encode(job)) == job == store_decode(encode(job))


def test_news_are_the_same_until_they_are_acknowledged_and_survive_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.tell(*EVENTS[:3])
    first = Orders(ledger).news(None)
    assert first.events == EVENTS[:3]
    assert Orders(ledger).news(None) == first
    ledger.tell(EVENTS[3])
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    orders = Orders(ledger)
    assert first.place is not None
    orders.acknowledge(first.place)
    second = orders.news(first.place)
    assert second.events == EVENTS[3:4]
    assert orders.news(second.place).events == []
    assert second.place is not None
    orders.acknowledge(second.place)
    ledger.tell(EVENTS[4])
    assert orders.news(second.place).events == EVENTS[4:5]
    ledger.close()


def test_a_place_of_another_ledger_is_the_beginning_of_this_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.tell(*EVENTS)
    assert Orders(ledger).news("ffff 100").events == EVENTS
    ledger.close()


def test_an_attempt_is_taken_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    orders, job = Orders(ledger), make_job(1, 3, fleet=make_fleet())
    for _ in range(2):
        orders.start(ArrayJob(job), [(0, 1), (1, 1)])
    orders.start(ArrayJob(job), [(1, 1), (1, 2)])
    assert [(row["position"], row["attempt"]) for row in ledger.rows("SELECT * FROM attempt")] == [(0, 1), (1, 1), (1, 2)]
    ledger.close()


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ec2" / "ledger.db")
    Orders(ledger).admit(make_job(1, fleet=make_fleet()), {"AWS_SECRET_ACCESS_KEY": "s3cr3t"})
    for path in (tmp_path / "ec2").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "ec2").stat().st_mode & 0o077 == 0
    assert LedgerReader(ledger).access(ArrayKey("0000000001")) == {"AWS_SECRET_ACCESS_KEY": "s3cr3t"}
    ledger.close()


def test_one_of_a_newer_spawn_or_that_is_none_is_refused_with_the_way_out(tmp_path: Path) -> None:
    Ledger(tmp_path / "new.db").close()
    connection = sqlite3.connect(tmp_path / "new.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="newer spawn"):
        Ledger(tmp_path / "new.db")
    (tmp_path / "bad.db").write_text("this is no database" * 100)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Ledger(tmp_path / "bad.db")


def test_one_of_an_older_spawn_is_brought_up_to_date_with_all_that_it_knows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "old.db")
    Orders(ledger).start(ArrayJob(make_job(1, 3, fleet=make_fleet())), [(0, 1)])
    ledger.close()
    connection = sqlite3.connect(tmp_path / "old.db")
    newer = {"array": ("max_concurrent", "limit_due", "control_etag"), "instance": ("wished_to",), "attempt": ("over_place",)}
    dropped = [f"ALTER TABLE {table} DROP COLUMN {column};" for table, columns in newer.items() for column in columns]
    latest = "ALTER TABLE span DROP COLUMN sure; DROP TABLE look; DROP INDEX instance_state; CREATE INDEX instance_key ON instance (key);"
    connection.executescript(f"{' '.join(dropped)} {latest} PRAGMA user_version = 1")
    connection.close()
    for _ in range(2):
        ledger = Ledger(tmp_path / "old.db")
        assert [tuple(row) for row in ledger.rows("SELECT key, max_concurrent, limit_due, control_etag FROM array")] == [("0000000001", None, 0, None)]
        assert ledger.rows("SELECT wished_to FROM instance") == []
        assert ledger.rows("SELECT sure FROM span LEFT JOIN look USING (key)") == []
        assert LedgerReader(ledger).states(ArrayKey("0000000001")) == {}
        ledger.close()


def test_an_engine_without_arrays_on_ec2_does_not_load_what_talks_to_aws(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from spawn.providers.ec2.provider import Ec2Provider; from spawn.testing.clock import ManualClock\n"
        "provider = Ec2Provider(directory=Path(sys.argv[1]), clock=ManualClock())\n"
        "assert provider.connect(lambda: None) and not provider.connect(lambda: None)\n"
        "provider.news(None); provider.close(terminate=True, grace_s=1.0)\n"
        "assert 'botocore' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


class NoClients:
    """AWS is never to be asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def test_the_provider_works_in_a_thread_of_its_own_and_wakes_the_engine(tmp_path: Path) -> None:
    woken = threading.Event()
    provider = Ec2Provider(directory=tmp_path, clock=ManualClock(), make_clients=lambda _: NoClients())  # type: ignore[arg-type, return-value]
    assert provider.connect(woken.set)
    job = make_job(1, 2, fleet=make_fleet())
    provider.stop([AttemptId(job.key, 0, 1)], grace_s=1.0)  # unknown: nothing
    gone, done = threading.Event(), list[str]()
    directory = provider.directory(job)
    Path(directory).mkdir(parents=True)
    assert provider.owns(directory)
    assert not provider.owns(str(tmp_path))

    def note(path: str) -> None:
        done.append(path)
        gone.set()

    provider.discard(directory, note)
    assert gone.wait(20)
    assert done == [directory]
    assert not Path(directory).exists()
    provider.start(ArrayJob(job), [(0, 1)], None)  # type: ignore[arg-type]
    provider.drop([AttemptId(job.key, 0, 1)])
    assert woken.wait(20)
    assert provider.news(None).events == [Dropped(AttemptId(job.key, 0, 1), ManualClock().now())]
    assert provider.why(job.key) == {}
    for terminate in (True, False, True):
        provider.close(terminate=terminate, grace_s=1.0)


def test_the_file_is_made_when_there_is_something_to_write(tmp_path: Path) -> None:
    provider = Ec2Provider(directory=tmp_path / "ec2", clock=ManualClock())
    provider.connect(lambda: None)
    assert provider.news(None).events == []
    assert provider.reader.instances(ArrayKey("0000000001")) == {}
    assert not provider.is_busy()
    assert not (tmp_path / "ec2").exists()
    provider.admit(make_job(1, fleet=make_fleet()), {})
    assert (tmp_path / "ec2" / "ledger.db").exists()
    provider.close(terminate=False, grace_s=1.0)


def test_an_engine_has_something_to_stay_for_while_an_instance_lives_that_it_can_do_something_about(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    orders, job = Orders(ledger), make_job(1, 3, fleet=make_fleet())
    orders.start(ArrayJob(job), [(0, 1)])
    assert not orders.has_instances()
    orders.take_over(Afoot(job=job, max_concurrent=None, attempts=((0, 1, "i-1"),), instances=(("i-1", "us-east-1", Instant(5)),)), {}, Instant(9))
    assert orders.has_instances()
    orders.refuse(job.key)
    assert not orders.has_instances()
    orders.renew(job.fleet.account if job.fleet else "", {})
    assert orders.has_instances()
    ledger.write("UPDATE instance SET settled = 1")
    assert not orders.has_instances()
    ledger.close()


def test_what_ec2_has_not_said_to_end_is_told_with_the_end_that_its_guard_keeps(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    orders, hour = Orders(ledger), 3_600_000
    assert len(orders.unended()) == 0
    guarded = make_job(1, 3, fleet=make_fleet(), lifetime=Lifetime(ttl=timedelta(hours=1)))
    endless = make_job(2, fleet=make_fleet(), lifetime=Lifetime(ttl=None))
    three = (("i-1", "us-east-1", Instant(5)), ("i-2", "us-east-1", Instant(5)), ("i-3", "us-east-1", Instant(5)))
    orders.take_over(Afoot(job=guarded, max_concurrent=None, attempts=((0, 1, "i-1"),), instances=three), {}, Instant(9))
    orders.take_over(Afoot(job=endless, max_concurrent=None, attempts=((0, 1, "i-9"),), instances=(("i-9", "us-east-1", Instant(5)),)), {}, Instant(9))
    ledger.write("UPDATE instance SET extended_to = ? WHERE id = 'i-2'", 3 * hour)
    ledger.write("UPDATE instance SET state = 'shutting-down' WHERE id = 'i-3'")
    ledger.write("INSERT INTO launch VALUES ('t', ?, 1, 'us-east-1', 0, 'on-demand', 4, '[]', '{}', 'open', 1, 5)", guarded.key)
    assert orders.unended() == Unended(instances={"i-1": Instant(hour + 5), "i-2": Instant(3 * hour), "i-9": None}, launching=4)
    orders.end_all("enough")
    assert {row["ending"] for row in ledger.rows("SELECT ending FROM instance")} == {"enough"}
    assert {row["stopping"] for row in ledger.rows("SELECT stopping FROM attempt")} == {"stop"}
