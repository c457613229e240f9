from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tessy.lock import locked, take_lock

HOLD = """
import sys, time
from pathlib import Path
from tessy.lock import take_lock
take_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        with pytest.raises(BlockingIOError):
            take_lock(path)
        with locked(tmp_path / "other"):
            pass
    assert not path.exists()
    with locked(path):
        pass


def test_it_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError):
            take_lock(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with locked(path):
        pass


def test_who_waited_for_a_removed_file_does_not_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened, opening = tmp_path / "lock", [], os.open

    def late(file: Path, flags: int, mode: int) -> int:
        found = opening(file, flags, mode)
        if not opened:
            path.unlink()  # its holder lets go between the opening and the locking
        opened.append(found)
        return found

    path.touch()
    monkeypatch.setattr(os, "open", late)
    lock = take_lock(path)
    assert len(opened) == 2
    assert os.path.samestat(os.fstat(lock), path.stat())
    os.close(lock)


def test_what_cannot_be_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take_lock(tmp_path / "nowhere" / "lock")
