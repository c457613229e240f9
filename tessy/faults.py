"""What SQLite and the disk raise, in words that say what to do."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tessy.errors import ConfigError, TessyError

__all__ = ["cannot_open", "cannot_write", "is_out_of_room", "written"]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_GO_ON = "what is committed stays: make room and give the same command again, it goes on from there"
_COPY = "put a copy in its place, or name another run directory"
_MENDED = {
    sqlite3.SQLITE_NOTADB: f"it is damaged, or was never a journal: {_COPY}",
    sqlite3.SQLITE_CORRUPT: f"it is damaged: {_COPY}",
    sqlite3.SQLITE_CANTOPEN: "it may not be read, or is no file: see who may",
    sqlite3.SQLITE_IOERR: "the disk is full, or fails: SQLite needs a little room even to read",
    sqlite3.SQLITE_BUSY: "another program holds it: close that first",
    sqlite3.SQLITE_PROTOCOL: "SQLite cannot lock it, as on most network file systems: choose a local disk",
}
"""What to do, by SQLite's primary codes."""


def is_out_of_room(error: BaseException) -> bool:
    """Whether the disk is full, or fails: SQLite does not always tell the two apart."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def cannot_open(path: Path, error: sqlite3.Error | OSError) -> ConfigError:
    """Why a journal could not be opened."""
    said = error.strerror if isinstance(error, OSError) else str(error)
    todo = _MENDED.get(_code(error) or 0)
    return ConfigError(f"{path}: cannot open the journal: {said}{f'; {todo}' if todo else ''}")


def cannot_write(path: Path, error: BaseException) -> TessyError:
    """Why a run cannot go on; ``path`` is what was to be written, if the error names no file itself."""
    said = str(error)
    if isinstance(error, OSError):
        path, said = Path(error.filename or path), error.strerror or said
    elif _code(error) == sqlite3.SQLITE_IOERR:
        said += " (the disk is full, or fails)"
    return TessyError(f"{path}: cannot be written: {said}{f'; {_GO_ON}' if is_out_of_room(error) else ''}")


@contextmanager
def written(path: Path) -> Iterator[None]:
    """What cannot be written in the block, to the journal at ``path`` or beside it, is said in our words.

    Raises:
        TessyError: SQLite failed, the disk is full, or a file may not be touched.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise cannot_write(path, error) from error
    except OSError as error:
        if is_out_of_room(error):
            raise cannot_write(path, error) from error
        if error.filename is None:
            raise
        raise TessyError(f"{error.filename2 or error.filename}: cannot be used: {error.strerror}") from error


def _code(error: BaseException) -> int | None:
    """SQLite's primary code; its extended ones say where in SQLite it was."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None
