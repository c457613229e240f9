"""The network in C, where it could be compiled when tessy was built: `kernel.c`, called through ctypes."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from tessy.detectors.boundary.net import ACTIVATION, LIMIT, OUTPUT, Network
from tessy.detectors.boundary.weights import Weights

__all__ = ["LIBRARY", "Kernel", "compiled"]

LIBRARY: Path = Path(__file__).parent / "_kernel.so"
"""What the build makes of `kernel.c`; it is not there where there was no compiler."""
_VERSION = 1
_SCALE = 1 / (ACTIVATION * OUTPUT)


def compiled(weights: Weights, look: int) -> Kernel | None:
    """The network, if the kernel is there and these weights are what it computes with."""
    library = _library()
    return None if library is None or not _fits(weights) else Kernel(library, weights, look)


@lru_cache(maxsize=1)
def _library() -> Any:
    try:
        # The interpreter stays locked: a call takes less time than another thread needs to begin.
        library = ctypes.PyDLL(str(LIBRARY))
        if library.tessy_boundary_version() != _VERSION:
            return None
        go_on = library.tessy_boundary_go_on
    except (OSError, AttributeError):
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    go_on.argtypes = (pointer, pointer, pointer, pointer, pointer, number, number, pointer)
    go_on.restype = None
    return library


def _fits(weights: Weights) -> bool:
    """Whether all are 8-bit numbers but for the biases, as `tessy detector train` writes them."""
    return all(
        abs(int(array.max(initial=0))) <= LIMIT and abs(int(array.min(initial=0))) <= LIMIT
        for name, array in weights.arrays.items()
        if name.startswith(("input", "layer", "output")) and not name.endswith("bias")
    )


class _Network(ctypes.Structure):
    """As `kernel.c` has it."""

    _fields_: ClassVar = [
        *[(name, ctypes.c_int32) for name in ("embedding", "width", "back", "look", "layers")],
        *[
            (name, ctypes.c_void_p)
            for name in ("gaps", "input", "input_bias", "layer", "layer_bias", "output")
        ],
        ("output_bias", ctypes.c_int32),
        *[(name, ctypes.c_void_p) for name in ("seen", "said", "sums", "guessed")],
    ]


class Kernel(Network):
    """The network in C. The caller has seen to it that `kernel.c` can compute with the weights."""

    def __init__(self, library: Any, weights: Weights, look: int) -> None:
        import numpy as np

        super().__init__(weights, look, np.int8)
        shape, arrays = weights.shape, weights.arrays
        layers, d = range(len(shape.dilations)), shape.width
        taps = (shape.back + 1 + look) * shape.embedding
        self._full = shape.looks.index(look)
        self._size = shape.back * shape.embedding + 2 * sum(shape.dilations) * d
        self._states: Any = np.zeros((0, self._size), np.int16)
        self._states_at = self._table_at = 0
        self._table: Any = None
        self._said = array("i")
        self._go_on = library.tessy_boundary_go_on
        empty = np.zeros((0, d), np.int32)
        # Outputs by rows, inputs side by side: a row is read from its beginning to its end.
        parts: dict[str, Any] = {
            "gaps": np.array(shape.dilations, np.int32),
            "input": arrays["input"][:taps].T.astype(np.int8),
            "input_bias": arrays["input_bias"].astype(np.int32),
            "layer": np.concatenate(
                [empty.reshape(0, 3 * d), *[arrays[f"layer{i}"].T for i in layers]]
            ).astype(np.int8),
            "layer_bias": np.concatenate([empty, *[arrays[f"layer{i}_bias"][None] for i in layers]]).astype(
                np.int32
            ),
            "output": arrays["output"].astype(np.int16),
            "seen": np.zeros(4 * max(taps, 3 * d), np.int16),
            "said": np.zeros(4 * d, np.int16),
            "sums": np.zeros(4 * d, np.int32),
            "guessed": np.zeros(self._size, np.int16),
        }
        self._parts = {name: np.ascontiguousarray(part) for name, part in parts.items()}
        self._struct = _Network(
            embedding=shape.embedding,
            width=d,
            back=shape.back,
            look=look,
            layers=len(shape.dilations),
            output_bias=int(arrays["output_bias"][0]),
            **{name: part.ctypes.data for name, part in self._parts.items()},
        )
        self._at = ctypes.addressof(self._struct)

    def grow(self, slots: int) -> None:
        import numpy as np

        more = np.zeros((slots - len(self._states), self._size), np.int16)
        self._states = np.concatenate([self._states, more])
        self._states_at = self._states.ctypes.data

    def clear(self, slot: int) -> None:
        self._states[slot] = 0

    def logits(self, seen: Sequence[int], slots: Sequence[int], counts: Sequence[int]) -> list[float]:
        result: list[float] = []
        at, wide = 0, self.look + 1
        for slot, count in zip(slots, counts, strict=True):
            end = at + count * wide
            result += self.go_on(seen[at:end], slot, keep=count)
            at = end
        return result

    def go_on(
        self, seen: Sequence[int], slot: int, looks: Sequence[int] | None = None, *, keep: int
    ) -> list[float]:
        words = len(seen) // (self.look + 1)
        if len(self._said) < words:
            self._said = array("i", bytes(4 * 2 * words))
        table = self.vectors.table
        # C would read whatever is there.
        if not 0 <= min(seen, default=0) <= max(seen, default=0) < len(table):
            raise IndexError(f"a word's number is not among the {len(table)} known")
        if table is not self._table:
            self._table, self._table_at = table, table.ctypes.data
        numbers, biases = array("i", seen), array("i", looks or [self._full] * words)
        self._go_on(
            self._at,
            self._states_at + 2 * self._size * slot,
            self._table_at,
            numbers.buffer_info()[0],
            biases.buffer_info()[0],
            words,
            keep,
            self._said.buffer_info()[0],
        )
        return [said * _SCALE for said in self._said[:words]]
