"""Files that appear as a whole or not at all, and transactions."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tessy.replacing import replacing
from tessy.transaction import transaction

KILLED = """
import os, signal, sys
from pathlib import Path
from tessy.replacing import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.jsonl"
    for private, mode in ((True, 0o600), (False, 0o666 & ~_umask())):
        with replacing(target, private=private, durable=True) as file:
            file.write(b"new")
            before = target.read_bytes() if target.exists() else None
            assert before in (None, b"new")
        assert target.read_bytes() == b"new"
        assert stat.S_IMODE(target.stat().st_mode) == mode
    with pytest.raises(KeyError), replacing(target) as file:
        file.write(b"other")
        raise KeyError
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path) -> None:
    """As a limit on the size of files: writing fails with an error of the system's own."""
    target = tmp_path / "a"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="large") as raised, replacing(target) as file:
            file.write(b"x" * 100_000)
        assert raised.value.filename == str(target), "a message must name it"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, usual)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_kill_leaves_the_old_file_and_the_next_writer_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    process = subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    with replacing(target) as file:
        file.write(b"new")
    assert os.listdir(tmp_path) == ["a"]
    assert target.read_bytes() == b"new"


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    with transaction(db):
        db.execute("CREATE TABLE t (n)")
        db.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(KeyboardInterrupt), transaction(db):
        db.execute("INSERT INTO t VALUES (2)")
        raise KeyboardInterrupt
    assert db.execute("SELECT n FROM t").fetchall() == [(1,)]
    assert not db.in_transaction
    db.close()


def test_a_transaction_that_sqlite_has_rolled_back_tells_why(tmp_path: Path) -> None:
    """As where the disk is full; to roll back once more fails, and must not be what is told."""
    db = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    db.execute("CREATE TABLE t (n)")
    db.execute("PRAGMA max_page_count = 4")
    with pytest.raises(sqlite3.OperationalError, match="full"), transaction(db):
        db.execute("INSERT INTO t VALUES (zeroblob(100000))")
    with pytest.raises(sqlite3.OperationalError, match="full"), transaction(db):
        db.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")
    with transaction(db):
        db.execute("INSERT INTO t VALUES (1)")
    assert db.execute("SELECT n FROM t").fetchall() == [(1,)]
    db.close()


def test_a_commit_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    db.executescript(
        "PRAGMA foreign_keys = ON; CREATE TABLE a (n INTEGER PRIMARY KEY);"
        "CREATE TABLE b (n REFERENCES a DEFERRABLE INITIALLY DEFERRED);"
    )
    with pytest.raises(sqlite3.IntegrityError), transaction(db):
        db.execute("INSERT INTO b VALUES (1)")
    assert not db.in_transaction
    assert db.execute("SELECT n FROM b").fetchall() == []
    db.close()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
