"""The network at run time: whole numbers, many texts at once, nothing computed twice.

A word costs one vector and a few rows of matrix products, however far into a trace it stands. What later
words need of earlier ones (`Shape.history` of them) is kept for each text in a row of the pool.

`Net` computes with numpy, `kernel.Kernel` where C could be compiled: the same logits, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tessy.detectors.boundary.lookup import LIMIT, Vectors
from tessy.detectors.boundary.weights import Shape, Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Integers = NDArray[np.intp]

__all__ = ["ACTIVATION", "CEILING", "LIMIT", "OUTPUT", "WEIGHT", "Net", "Network"]

ACTIVATION, WEIGHT, OUTPUT = 32, 256, 64
"""What 1.0 is, of vectors and activations, of the layers' weights, of the last layer's."""
CEILING = 255
"""The largest whole number of an activation; `LIMIT` that of a vector or weight."""


class Network(ABC):
    """A network with the states of many texts, and with the vectors of the words it was asked about.

    Args:
        weights: what to compute with.
        look: words to the right that are shown, one of the weights' ``looks``.
        dtype: numpy's, of the vectors.
    """

    def __init__(self, weights: Weights, look: int, dtype: Any) -> None:
        self.shape: Shape = weights.shape
        self.look: int = look
        self.vectors: Vectors = Vectors(weights, dtype)

    @abstractmethod
    def grow(self, slots: int) -> None:
        """Make room for so many texts."""

    @abstractmethod
    def clear(self, slot: int) -> None:
        """This text begins anew."""

    @abstractmethod
    def logits(self, seen: Sequence[int], slots: Sequence[int], counts: Sequence[int]) -> list[float]:
        """Go on with several texts: the logits of their next words.

        Args:
            seen: of each word its number and those of the ``look`` words right of it.
            slots: of the texts, each another.
            counts: so many words of each text, one text after the other.
        """

    @abstractmethod
    def go_on(
        self, seen: Sequence[int], slot: int, looks: Sequence[int] | None = None, *, keep: int
    ) -> list[float]:
        """Go on with one text, most often by one word: the logits of its next words.

        Args:
            seen: as for `logits`.
            slot: the text's.
            looks: which of the shape's ``looks`` says how many words right of each word are known; the
                numbers of others are 0. ``None``: all are.
            keep: so many of the words are the text's for good; what is said of the others is a guess, and
                forgotten.
        """


class Net(Network):
    """The network with numpy: in 32-bit floats, which hold these whole numbers exactly."""

    def __init__(self, weights: Weights, look: int) -> None:
        import numpy

        super().__init__(weights, look, numpy.float32)
        self._np: Any = numpy
        shape, arrays = weights.shape, weights.arrays
        taps = (shape.back + 1 + look) * shape.embedding
        # Divided beforehand, by a power of two: as exact as after the product.
        scale = numpy.float32(1 / WEIGHT)
        matrix = {
            name: array.astype(numpy.float32) * scale
            for name, array in arrays.items()
            if name.startswith(("input", "layer"))
        }
        self._input = matrix["input"][:taps]
        self._biases = matrix["input_bias"]
        self._input_bias = self._biases[shape.looks.index(look)]
        self._layers = [(matrix[f"layer{i}"], matrix[f"layer{i}_bias"]) for i in range(len(shape.dilations))]
        self._output = arrays["output"].astype(numpy.float32)
        self._output_bias = float(arrays["output_bias"][0])
        depth = [(shape.back, shape.embedding), *((2 * gap, shape.width) for gap in shape.dilations)]
        self._pools: list[Floats] = [numpy.zeros((0, rows, size), numpy.float32) for rows, size in depth]

    def grow(self, slots: int) -> None:
        self._pools = [
            self._np.concatenate([pool, self._np.zeros((slots - len(pool), *pool.shape[1:]), pool.dtype)])
            for pool in self._pools
        ]

    def clear(self, slot: int) -> None:
        for pool in self._pools:
            pool[slot] = 0

    def logits(self, seen: Sequence[int], slots: Sequence[int], counts: Sequence[int]) -> list[float]:
        if len(slots) == 1:
            return self.go_on(seen, slots[0], keep=counts[0])
        said: list[float] = self._several(self._seen(seen), slots, counts).tolist()
        return said

    def go_on(
        self, seen: Sequence[int], slot: int, looks: Sequence[int] | None = None, *, keep: int
    ) -> list[float]:
        said: list[float] = self._one(self._seen(seen), slot, looks, keep).tolist()
        return said

    def _seen(self, numbers: Sequence[int]) -> Floats:
        """``[words, 1 + look, embedding]``: the vectors of each word and of those right of it."""
        vectors: Floats = self.vectors.table.take(numbers, 0)
        return vectors.reshape(-1, self.look + 1, self.shape.embedding)

    def _several(self, seen: Floats, slots: Sequence[int], counts: Sequence[int]) -> Floats:
        np = self._np
        at, n = np.array(slots, np.intp), np.array(counts, np.intp)
        place = _Places(np, n)
        words = len(seen)
        pool, own = self._pools[0], seen[:, 0]
        source = np.concatenate([pool[at].reshape(-1, own.shape[1]), own])
        left = source.take(place.before(pool.shape[1], range(pool.shape[1], 0, -1)), 0, mode="clip").reshape(
            words, -1
        )
        pool[at] = source.take(place.last(pool.shape[1]), 0, mode="clip")
        z = np.concatenate([left, seen.reshape(words, -1)], axis=1) @ self._input
        h = _activate(np, z, self._input_bias)
        np.minimum(h, CEILING, out=h)
        for pool, gap, (matrix, bias) in zip(
            self._pools[1:], self.shape.dilations, self._layers, strict=True
        ):
            source = np.concatenate([pool[at].reshape(-1, h.shape[1]), h])
            z = (
                source.take(place.before(2 * gap, (2 * gap, gap, 0)), 0, mode="clip").reshape(words, -1)
                @ matrix
            )
            pool[at] = source.take(place.last(2 * gap), 0, mode="clip")
            h += _activate(np, z, bias)
            np.minimum(h, CEILING, out=h)
        return self._logits(h)

    def _one(self, seen: Floats, slot: int, looks: Sequence[int] | None, keep: int) -> Floats:
        np = self._np
        wanted = len(seen)
        if 1 < wanted < 4:  # four rows are multiplied faster than two or three
            seen = np.concatenate([seen, np.zeros((4 - wanted, *seen.shape[1:]), seen.dtype)])
            looks = looks and [*looks, *[0] * (4 - wanted)]
        words = len(seen)
        pool = self._pools[0]
        # What stands left of the words is slices.
        source = np.concatenate([pool[slot], seen[:, 0]])
        left = [source[i : i + words] for i in range(pool.shape[1])]
        if keep:
            pool[slot] = source[keep : keep + pool.shape[1]]
        z = np.concatenate([*left, seen.reshape(words, -1)], axis=1) @ self._input
        h = _activate(np, z, self._input_bias if looks is None else self._biases.take(looks, 0))
        np.minimum(h, CEILING, out=h)
        for pool, gap, (matrix, bias) in zip(
            self._pools[1:], self.shape.dilations, self._layers, strict=True
        ):
            source = np.concatenate([pool[slot], h])
            if keep:
                pool[slot] = source[keep : keep + 2 * gap]
            z = np.concatenate([source[:words], source[gap : gap + words], h], axis=1) @ matrix
            h += _activate(np, z, bias)
            np.minimum(h, CEILING, out=h)
        return self._logits(h)[:wanted]

    def _logits(self, h: Floats) -> Floats:
        total = h @ self._output + self._output_bias
        logits: Floats = total * self._np.float32(1 / (ACTIVATION * OUTPUT))
        return logits


class _Places:
    """Where the words left of a word stand: first the kept rows of all texts, then the new words."""

    def __init__(self, np: Any, counts: Integers) -> None:
        self._np, self._counts = np, counts
        ends = np.cumsum(counts)
        self._starts = ends - counts
        self._text = np.repeat(np.arange(len(counts)), counts)
        self._flat = np.arange(int(ends[-1]))
        self._offset = self._flat - self._starts[self._text]

    def before(self, kept: int, distances: Sequence[int]) -> Integers:
        """For each new word and distance, the row of the word so far left; ``kept`` rows a text."""
        far = self._np.array(distances, self._np.intp)
        new = (len(self._counts) * kept + self._flat)[:, None] - far
        # Of a text's kept rows the last is its word -1.
        old = ((self._text + 1) * kept + self._offset)[:, None] - far
        rows: Integers = self._np.where(self._offset[:, None] >= far, new, old)
        return rows

    def last(self, kept: int) -> Integers:
        """For each text the rows to keep: of its last words, the oldest first."""
        back = self._counts[:, None] - self._np.arange(kept, 0, -1)
        new = len(self._counts) * kept + self._starts[:, None] + back
        old = (self._np.arange(1, len(self._counts) + 1) * kept)[:, None] + back
        rows: Integers = self._np.where(back >= 0, new, old)
        return rows


def _activate(np: Any, z: Floats, bias: Floats) -> Floats:
    """Whole and not negative; `CEILING` is the caller's, for what it adds this to has the same."""
    z += bias
    np.rint(z, out=z)
    np.maximum(z, 0, out=z)  # not `clip`, which takes five times as long for a row
    return z
