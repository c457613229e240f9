"""What stays of a process that dies: its files, as they were at that instant."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

__all__ = ["Disk"]


class Disk:
    """The run directory of one life after the other.

    A process that dies runs no `finally`. Here its tasks have to be torn down, and would go on writing; so at
    its death its folder is copied, and the next life goes on from the copy.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._count = 0

    @property
    def folder(self) -> Path:
        """Where the present life writes."""
        return self._root / f"life-{self._count}"

    def snapshot(self) -> Path:
        """Copy all files, as a killed process leaves them."""
        copy = self._root / f"life-{self._count + 1}"
        if self.folder.exists():
            shutil.copytree(self.folder, copy)
        return copy

    def go_on(self) -> None:
        """The next life has the copy."""
        self._count += 1

    def damage(self, chance: random.Random) -> None:
        """What a death amid an append or a rewriting leaves of the files derived from the journal."""
        for name in ("data.jsonl", "failures.jsonl"):
            path = self.folder / name
            match chance.randrange(8):
                case 0 if path.exists():
                    size = path.stat().st_size
                    with path.open("r+b") as file:
                        file.truncate(chance.randrange(size + 1))
                case 1 if path.exists():
                    path.unlink()
                case 2 if path.exists():
                    data = path.read_bytes()
                    path.write_bytes(data + data.splitlines(keepends=True)[-1] if data else b"{")
                case 3 if self.folder.exists():
                    path.with_suffix(".jsonl.new").write_bytes(b'{"id": "half')
