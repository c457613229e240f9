"""Locks between processes: a file that one of them holds, until it lets go or dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked", "take_lock"]


def take_lock(path: Path) -> int:
    """Make and lock a file; closing the descriptor that is returned lets it go.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be made or locked.
    """
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same(lock, path):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)  # whoever held it has just removed it: what is locked is no file any more


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock; its file is removed at the end. Raises as `take_lock`."""
    lock = take_lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _is_same(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False
