"""A run directory: made private, held by one process at a time."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tessy.errors import ConfigError
from tessy.lock import take_lock

__all__ = ["JOURNAL", "RunDirectory"]

JOURNAL = "journal.sqlite"


class RunDirectory:
    """Holds the lock of a run directory while it is entered; the lock dies with the process.

    A directory that this process made and in which nothing was `keep`-worthy is removed again, with the
    folders above that were made for it, so that a run refused at the start leaves no trace.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._made: list[Path] = []
        self._kept = False

    @property
    def journal(self) -> Path:
        """The journal's path."""
        return self.path / JOURNAL

    def keep(self) -> None:
        """From now on it holds something worth keeping."""
        self._kept = True

    def __enter__(self) -> RunDirectory:
        try:
            if not self.path.exists():
                made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
                self.path.mkdir(parents=True, mode=0o700)
                self._made = made
            elif not self.path.is_dir():
                raise ConfigError(f"{self.path}: is a file; -o names a directory")
            self._lock = take_lock(self.path / ".lock")
        except BlockingIOError as error:
            raise ConfigError(
                f"{self.path}: another tessy process is running here; wait for it, or choose another -o"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"{self.path}: cannot be written: {error.strerror}; choose another -o"
            ) from error
        if not os.access(self.path, os.W_OK) or (
            self.journal.exists() and not os.access(self.journal, os.W_OK)
        ):
            os.close(self._lock)
            raise ConfigError(f"{self.path}: is read-only; choose another -o")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._made and not self._kept:
            shutil.rmtree(self.path, ignore_errors=True)
            for folder in self._made[1:]:
                with suppress(OSError):  # somebody else has put something there
                    folder.rmdir()
        if self._lock is not None:
            os.close(self._lock)
