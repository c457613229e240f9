"""Sequences of the KV cache: which tokens each holds, and for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import llama_cpp as lib

__all__ = ["Slot", "Slots", "common_prefix"]


@dataclass(eq=False)
class Slot:
    """One sequence: the tokens in its KV cache, its owner, whether a generation runs in it."""

    sequence: int
    tokens: list[int] = field(default_factory=list)
    owner: object = None
    busy: bool = False
    used: int = 0


class Slots:
    """All sequences of a context. Idle ones keep their owner's cache until somebody needs the place."""

    def __init__(self, context: lib.llama_context_p, count: int) -> None:
        self._memory: Any = lib.llama_get_memory(context)
        self._slots = [Slot(sequence) for sequence in range(count)]
        self._owned: dict[object, Slot] = {}
        self._clock = 0

    @property
    def any_idle(self) -> bool:
        """Whether somebody could be given a place now."""
        return any(not slot.busy for slot in self._slots)

    def take(self, owner: object) -> Slot | None:
        """The owner's own slot, else a free one, else the idle one used longest ago; ``None``: all busy."""
        slot = self._owned.get(owner)
        if slot is None:
            idle = [s for s in self._slots if not s.busy]
            if not idle:
                return None
            slot = min(idle, key=lambda s: (s.owner is not None, s.used))
            if slot.owner is not None:
                del self._owned[slot.owner]
            slot.owner = owner
            self._owned[owner] = slot
        self._clock += 1
        slot.used = self._clock
        slot.busy = True
        return slot

    def keep(self, slot: Slot, tokens: Sequence[int]) -> int:
        """Keep of the cache what agrees with ``tokens`` and drop the rest; how many were kept.

        At least the last token is left to be decoded, for its logits.
        """
        kept = min(common_prefix(slot.tokens, tokens), len(tokens) - 1)
        if kept < len(slot.tokens) and not self.cut(slot, kept):
            kept = 0
        return kept

    def cut(self, slot: Slot, length: int) -> bool:
        """Drop the cache behind ``length`` tokens; if the memory cannot do that, all of it (false)."""
        if lib.llama_memory_seq_rm(self._memory, slot.sequence, length, -1):
            del slot.tokens[length:]
            return True
        # Recurrent and sliding-window memories may be unable to go back: begin anew.
        lib.llama_memory_seq_rm(self._memory, slot.sequence, -1, -1)
        slot.tokens.clear()
        return False

    def release(self, owner: object) -> None:
        """The owner is gone; its cache is worth nothing."""
        slot = self._owned.pop(owner, None)
        if slot is not None:
            slot.owner = None
            slot.used = 0
            self.cut(slot, 0)

    def evict_idle(self) -> bool:
        """Empty the idle slot used longest ago; false if there is none with anything in it."""
        full = [s for s in self._slots if not s.busy and s.tokens]
        if not full:
            return False
        self.cut(min(full, key=lambda s: s.used), 0)
        return True


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two lists begin with in common."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
