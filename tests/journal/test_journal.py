from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from tessy.errors import ConfigError, TessyError
from tessy.journal import Failure, Journal, Store, TurnUsage, codec
from tessy.journal.entries import Entry, Group, packed, unpacked
from tessy.journal.trace import Sink
from tessy.types import Label, Message, Prepared, Prompt, Selected, Span, TurnRecord, Usage

SPAN = Span(
    "student", "think", "Hmm, 🎉\x00 wait.", 0, 4, ids=(1, 70_000, 3), covered=9, kind="style",
    via="instructed", exact=False, labels=(Label(0, 4, True, 0.5),),
)  # fmt: skip
TURN = TurnRecord(0, "student", "think", 14, 20, 4, "aborted", True, {"mean": 0.25})


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "journal.sqlite")
    with store.transaction():
        store.want("a", 0, b"hash", 0, '[{"role":"user","content":"?"}]', '{"x":1}')
    yield store
    store.close()


async def test_what_is_queued_comes_back_equal(store: Store) -> None:
    journal = Journal(store)
    journal.start()
    trace = journal.trace(1)
    trace.commit(0, SPAN, TURN, TurnUsage("student", Usage(10, 5, 9, 2, 1), 4, 1, 4))
    prepared = Prepared({"student": Prompt.user("other")}, (Message("user", "shown"),), {"ref": "r"})
    trace.prepared(prepared)
    await journal.flush()
    journal.close()
    assert store.spans(1) == [SPAN]
    assert store.turns(1) == [TURN]
    assert store.prepared(1) == prepared
    assert store.totals() == [
        {"role": "student", "purpose": "turn", "prompt": 10, "cached": 5, "generated": 9,
         "kept": 4, "marks": 1, "discarded": 4, "requests": 2, "estimated": 1}
    ]  # fmt: skip


async def test_ended_rows_are_told_after_their_commit(store: Store) -> None:
    told: list[tuple[int, str, str]] = []
    other = Store(store.path, write=False)

    def ended(n: int, status: str) -> None:
        told.append((n, status, "seen" if n in other.ended(status) else "not committed"))

    journal = Journal(store, ended=ended)
    journal.start()
    journal.trace(1).fail(Failure("length", "too long", "t", "a", 3))
    await journal.flush()
    journal.close()
    assert told == [(1, "failed", "seen")]
    assert store.failure(1) == Failure("length", "too long", "t", "a", 3)
    assert store.reasons() == {"length": 1}
    other.close()


async def test_a_group_is_committed_soon_without_a_flush(store: Store) -> None:
    reader = Store(store.path, write=False)
    journal = Journal(store)
    journal.start()
    journal.trace(1).commit(0, SPAN, TURN)
    async with asyncio.timeout(60):
        while not reader.turns(1):
            await asyncio.sleep(0)
    journal.close()
    reader.close()


async def test_a_failing_write_is_reported_and_stops_the_journal(store: Store) -> None:
    journal = Journal(store)
    journal.start()
    journal.trace(1, seq=0).commit(0, SPAN)
    journal.trace(1, seq=0).commit(0, SPAN)  # the same place twice: the group is rolled back
    with pytest.raises(TessyError, match="cannot be written"):
        await journal.flush()
    assert isinstance(journal.broken.exception(0), TessyError)
    with pytest.raises(TessyError, match="can no longer be written"):
        journal.trace(1).finish()
    journal.close()
    assert store.spans(1) == []


async def test_what_cannot_be_stored_costs_its_own_trajectory_only(store: Store) -> None:
    journal = Journal(store)
    journal.start()
    trace = journal.trace(1)
    for wrong in (replace(SPAN, ids=(-1,)), replace(SPAN, text="\ud800"), replace(SPAN, tokens=2**63)):
        with pytest.raises((ValueError, OverflowError)):
            trace.commit(0, wrong)
    with pytest.raises(TypeError):
        trace.commit(0, SPAN, replace(TURN, finish=object()))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        trace.prepared(Prepared(metadata={"x": object()}))  # type: ignore[dict-item]
    trace.commit(0, SPAN, TURN)
    await journal.flush()
    journal.close()
    assert store.spans(1) == [SPAN]
    assert store.turns(1) == [TURN]


def test_a_foreign_file_and_a_newer_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").write_bytes(b"this is no database, but it is long enough to be read" * 30)
    with pytest.raises(ConfigError, match="cannot open the journal"):
        Store(tmp_path / "j.sqlite")
    store = Store(tmp_path / "new.sqlite")
    with store.transaction():
        store.set_meta("version", "99")
    store.close()
    for write in (True, False):
        with pytest.raises(ConfigError, match=r"journal format 99; .*: upgrade tessy "):
            Store(tmp_path / "new.sqlite", write=write)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("3", "is of journal format 3, written by tessy 0.0.7; this tessy .* once more, which brings"),
        ("0", "is of journal format 0, written by tessy 0.0.7; .* has no way from there"),
        ("99", r"journal format 99, written by tessy 0.0.7; .*: upgrade tessy to 0.0.7 or later \(pip"),
        ("four", r"is no journal of tessy \(it states the format 'four'\)"),
        (None, r"is no journal of tessy \(it states no format\)"),
    ],
)
def test_a_reader_says_what_to_do_about_another_version(
    tmp_path: Path, version: str | None, message: str
) -> None:
    path = tmp_path / "journal.sqlite"
    store = Store(path)
    store.close()
    (tmp_path / "run.yaml").write_text("tessy: 0.0.7\nprompts: p.jsonl\n")
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM meta")
        if version is not None:
            db.execute("INSERT INTO meta VALUES ('version', ?)", (version,))
        db.commit()
    with pytest.raises(ConfigError, match=message) as raised:
        Store(path, write=False)
    assert " -o" not in str(raised.value), "to a command that reads, -o is something else"
    if version != "3":
        with pytest.raises(ConfigError, match=message):
            Store(path)


def test_another_programs_database_stays_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as db:
        db.execute("CREATE TABLE theirs (n)")
        for write in (True, False):
            with pytest.raises(ConfigError, match="is no journal of tessy"):
                Store(tmp_path / "other.sqlite", write=write)
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_an_empty_file_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").touch()
    with pytest.raises(ConfigError, match="is empty: put a copy in its place; or begin its run"):
        Store(tmp_path / "j.sqlite", write=False)
    Store(tmp_path / "j.sqlite").close()


async def test_entries_that_travelled_as_json_are_the_same_to_the_last_byte(store: Store) -> None:
    class Carried(Sink):
        def put(self, group: Group) -> None:
            carried = unpacked(orjson.loads(orjson.dumps(packed(group))))
            assert carried == group
            with store.transaction():
                for entry in carried.entries:
                    store.apply(entry)

    trace = Carried().trace(1)
    trace.prepared(Prepared(metadata={"x": [1, "🎉"]}))
    trace.commit(0, SPAN, TURN, TurnUsage("student", Usage(10, 5, 9, 2, 1), 4, 1, 4))
    trace.give_up(Failure("length", "too long"))
    trace.select(Selected(0, {"why": 0.1}))
    trace.fail(Failure("length", "too long", "t\x00", "a", 3))
    assert store.spans(1) == [SPAN]
    assert store.turns(1) == [TURN]
    assert store.prepared(1) == Prepared(metadata={"x": [1, "🎉"]})
    assert store.selected(1) == Selected(0, {"why": 0.1})
    assert store.given_up(1, 0) == {0: Failure("length", "too long")}
    assert store.failure(1) == Failure("length", "too long", "t\x00", "a", 3)


def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        store.set_meta("k", "v")
        raise RuntimeError
    assert store.meta("k") is None
    with pytest.raises(sqlite3.IntegrityError), store.transaction():
        store.apply(Entry("span", (1, 0, 0, *codec.span_to(SPAN))))
        store.apply(Entry("span", (1, 0, 0, *codec.span_to(SPAN))))
    assert store.spans(1) == []
