"""One batch for ``llama_decode``, filled through numpy: a ctypes field a token would cost more than it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import llama_cpp as lib
import numpy as np

__all__ = ["Batch", "Part"]


class Part(NamedTuple):
    """Tokens of one sequence from ``position`` on, logits wanted for the last ``wanted``."""

    tokens: Sequence[int]
    position: int
    sequence: int
    wanted: int


class Batch:
    """Room for ``size`` tokens of any sequences; owns the arrays that the C struct points to."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0
        self._token = np.zeros(size, np.int32)
        self._pos = np.zeros(size, np.int32)
        self._n_seq = np.ones(size, np.int32)
        self._seq = np.zeros(size, np.int32)
        self._logits = np.zeros(size, np.int8)
        # seq_id is a list of pointers: the i-th always points at the i-th sequence number.
        self._seq_at = (self._seq.ctypes.data + 4 * np.arange(size)).astype(np.uint64)
        self._struct = lib.llama_batch(
            0,
            self._token.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            None,
            self._pos.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            self._n_seq.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            self._seq_at.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            self._logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    @property
    def room(self) -> int:
        """How many tokens still fit."""
        return self.size - self.count

    def clear(self) -> None:
        """Empty it."""
        self.count = 0

    def add(self, tokens: Sequence[int], position: int, sequence: int, *, wanted: int) -> int:
        """Append tokens of one sequence, logits wanted for the last ``wanted``; the first one's index."""
        return self.extend([Part(tokens, position, sequence, wanted)])[0]

    def extend(self, parts: Sequence[Part]) -> list[int]:
        """Append all parts; the index of each one's first token.

        Numpy is asked four times, however many there are: a step is mostly made of single tokens.
        """
        tokens: list[int] = []
        positions: list[int] = []
        sequences: list[int] = []
        wanted: list[int] = []
        firsts = []
        for part in parts:
            count = len(part.tokens)
            firsts.append(self.count + len(tokens))
            tokens += part.tokens
            positions += range(part.position, part.position + count)
            sequences += [part.sequence] * count
            wanted += [0] * (count - part.wanted) + [1] * part.wanted
        begin, end = self.count, self.count + len(tokens)
        self._token[begin:end] = tokens
        self._pos[begin:end] = positions
        self._seq[begin:end] = sequences
        self._logits[begin:end] = wanted
        self.count = end
        return firsts

    def decode(self, context: lib.llama_context_p) -> int:
        """Run it; llama.cpp's status (0: done, 1: no room in the KV cache, 2: aborted, below 0: failed)."""
        self._struct.n_tokens = self.count
        status: int = lib.llama_decode(context, self._struct)
        if status == 0:
            # A GPU may still be at it. Whoever asks for the first token waits, and may hold Python's lock.
            lib.llama_synchronize(context)
        return status
