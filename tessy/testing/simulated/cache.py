"""A prefix cache as vLLM has one: blocks of tokens, known by all before them, the oldest evicted."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Ids", "Lease", "PrefixCache"]

Ids: TypeAlias = "array[int]"
"""Token ids as unsigned numbers of 32 bits: prompts are long, and lists of them slow to work with."""


@dataclass(slots=True)
class Lease:
    """Blocks that a running sequence holds.

    Attributes:
        cached: tokens of its prompt that need not be computed.
        blocks: whole blocks of its prompt; ``rest`` is what follows them.
        grown: tokens it has written.
    """

    cached: int
    blocks: list[int] = field(default_factory=list)
    rest: Ids = field(default_factory=lambda: array("I"))
    grown: int = 0


class PrefixCache:
    """The KV memory of an engine.

    Blocks of running sequences are held and cannot be evicted; what a sequence leaves behind stays until the
    room is needed, and goes oldest first, of one sequence the end before its beginning.

    Args:
        capacity: tokens it has room for; ``None``: no limit.
        block: tokens a block.
    """

    def __init__(self, capacity: int | None = None, block: int = 16) -> None:
        self.capacity = capacity
        self.block = block
        self.evicted: int = 0
        """Tokens evicted so far."""
        self._held: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._growing = 0

    @property
    def held(self) -> int:
        """Tokens that running sequences hold."""
        return len(self._held) * self.block + self._growing

    @property
    def used(self) -> int:
        """Tokens that stand in it."""
        return self.held + len(self._idle) * self.block

    def enter(self, ids: Ids) -> Lease | None:
        """Take in a sequence that is to run; ``None``: there is no room while so many others run."""
        blocks = self._chain(0, ids)
        new = sum(block not in self._held for block in blocks) * self.block
        if self.capacity is not None and self.held and self.held + new > self.capacity:
            return None
        hits = 0
        for block in blocks:
            if block not in self._held and block not in self._idle:
                break
            hits += 1
        # The last token is always computed: what follows it is what is asked for.
        cached = min(hits, max(0, len(ids) - 1) // self.block) * self.block
        for block in blocks:
            self._held[block] = self._held.get(block, 0) + 1
            self._idle.pop(block, None)
        self._evict()
        return Lease(cached, blocks, ids[len(blocks) * self.block :])

    def grow(self, lease: Lease, tokens: int) -> None:
        """A running sequence has written so many more tokens."""
        lease.grown += tokens
        self._growing += tokens
        self._evict()

    def leave(self, lease: Lease, written: Sequence[int]) -> None:
        """A sequence has ended; ``written`` is what it wrote."""
        self._growing -= lease.grown
        tail = lease.rest + array("I", written)
        blocks = self._chain(lease.blocks[-1] if lease.blocks else 0, tail)
        # The last one first: of what is left behind, the end is evicted before the beginning.
        for block in reversed(blocks):
            if block not in self._held:
                self._idle[block] = None
                self._idle.move_to_end(block)
        for block in reversed(lease.blocks):
            others = self._held[block] - 1
            if others:
                self._held[block] = others
            else:
                del self._held[block]
                self._idle[block] = None
        self._evict()

    def _chain(self, before: int, ids: Ids) -> list[int]:
        """Whole blocks, each known by its tokens and by all before it."""
        width = self.block * array("I").itemsize
        data = ids.tobytes()
        blocks, name = [], before
        for start in range(0, len(data) - width + 1, width):
            name = hash((name, data[start : start + width]))
            blocks.append(name)
        return blocks

    def _evict(self) -> None:
        if self.capacity is None:
            return
        while self._idle and self.used > self.capacity:
            self._idle.popitem(last=False)
            self.evicted += self.block
