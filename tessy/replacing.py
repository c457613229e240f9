"""Files that appear as a whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["naming", "replacing"]


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An `OSError` of the block that names no file, as those of writing do not, names this one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def replacing(
    target: Path, *, fresh: Path | None = None, private: bool = True, durable: bool = False
) -> Iterator[BinaryIO]:
    """Write ``target`` anew: whoever reads it, or finds it after a kill, has the old file or the new one.

    If the block fails, the old file is as it was and nothing is left beside it; a kill may leave ``fresh``,
    which the next writer overwrites.

    Args:
        target: the file.
        fresh: where it is written meanwhile, in the same folder; default: ``target`` with ``.new`` behind.
            Two processes that may write one target need a name each.
        private: only the owner may read it.
        durable: it is on the disk before it takes the target's place.

    Raises:
        OSError: it cannot be written.
    """
    fresh = fresh or target.with_name(f"{target.name}.new")
    mode = 0o600 if private else 0o666
    try:
        with naming(target), open(fresh, "wb", opener=lambda path, flags: os.open(path, flags, mode)) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
