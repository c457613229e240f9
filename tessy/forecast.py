"""How much is left of a run, told from the rows that have ended and from those under way.

Rows that end first are short: while most are under way, the mean of those that have ended is too low, and
what all have taken divided by how many have ended is too high. So a row under way counts as what it is, one
that is longer than so much (right-censored), and a log-normal distribution is fitted to both by maximum
likelihood: lengths of traces are spread by ratio, a few being several times as long as most.

Lengths are in tokens. They are kept in classes of equal ratio, so that neither memory nor time grows with the
number of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import erfc, exp, log, pi, sqrt

__all__ = ["Forecast", "Lengths"]

_CLASS = log(2) / 4
"""Width of a class, as a logarithm: 19 %."""
_SPREADS = tuple(0.1 * 10 ** (i / 8) for i in range(9))
"""That are tried, 0.1 to 1: of larger ones the short rows that end first tell nothing, and they foretell
lengths that no row reaches."""
_USUAL = 0.5
_UNUSUAL = 0.5
"""The spread to expect, and how sure that is (of its logarithm): the first few rows say little about it."""
_NEWTON = 20
_EXACT = 0.001
"""Steps at most, and what is no step any more: a thousandth of a length."""
_HALVINGS = 16
"""Of an interval."""
_FAR = 30.0
"""Standard deviations beyond which probabilities come from their asymptote: soon they are 0 as numbers."""


@dataclass(slots=True)
class Lengths:
    """Lengths of rows, by classes.

    Attributes:
        tokens: of all rows.
        empty: rows without a token.
        classes: how many others are of which class; count: of all classes.
        total, squares: sums of the logarithms of their lengths, and of the squares of these.
    """

    tokens: int = 0
    empty: int = 0
    classes: Counter[int] = field(default_factory=Counter)
    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.empty + self.count

    @classmethod
    def of(cls, lengths: Iterable[int]) -> Lengths:
        """Of rows of so many tokens each."""
        made = cls()
        for length in lengths:
            made.add(length)
        return made

    def add(self, length: int) -> None:
        """One row more."""
        if length < 1:
            self.empty += 1
            return
        self.tokens += length
        size = log(length)
        self.classes[round(size / _CLASS)] += 1
        self.count += 1
        self.total += size
        self.squares += size * size

    def logs(self) -> Iterator[tuple[float, int]]:
        """The logarithm of every class's length, and how many rows are in it."""
        return ((key * _CLASS, count) for key, count in self.classes.items())


@dataclass(frozen=True, slots=True)
class Forecast:
    """Logarithms of lengths are normally distributed, with this middle and spread."""

    middle: float
    spread: float

    @classmethod
    def fit(cls, ended: Lengths, active: Lengths) -> Forecast | None:
        """The most likely one for these lengths, those of rows under way being the least they can be.

        ``None`` while no row has ended that has a token.
        """
        if not ended.count:
            return None
        fits = [cls(_middle(spread, ended, active), spread) for spread in _SPREADS]
        return max(fits, key=lambda one: one._likelihood(ended, active))

    def left(self, ended: Lengths, active: Lengths, untouched: int) -> float:
        """Tokens that rows under way, and so many that are not begun, are expected to take still.

        One that is not begun will be as those that are, on average: only what these will still write is told
        by the distribution. So lengths of any kind have their true mean where no row is under way.
        """
        rest = sum(count * self._rest(size) for size, count in active.logs())
        mean = (ended.tokens + active.tokens + rest) / (ended.rows + active.count)
        return rest + (untouched + active.empty) * mean

    def _rest(self, size: float) -> float:
        """Tokens that a row of this length, given as its logarithm, is expected to take still."""
        z = self._z(size)
        mean = exp(self.middle + self.spread**2 / 2)
        return max(0.0, mean * exp(_beyond(z - self.spread) - _beyond(z)) - exp(size))

    def longest(self, active: Lengths) -> float:
        """Tokens more that the last of these rows under way takes: as likely as not, all have ended then."""
        low, high = 0.0, exp(self.middle)
        while self._open(active, high) > log(2):
            low, high = high, 2 * high
        return _halved(low, high, lambda more: self._open(active, more) > log(2))

    def _open(self, active: Lengths, more: float) -> float:
        """How many of them are expected to be under way after so many tokens more."""
        return sum(
            count * exp(_beyond(self._z(log(exp(size) + more))) - _beyond(self._z(size)))
            for size, count in active.logs()
        )

    def _likelihood(self, ended: Lengths, active: Lengths) -> float:
        """Its logarithm, but for what is the same for all; with what is known of spreads beforehand."""
        square = ended.squares - 2 * self.middle * ended.total + ended.count * self.middle**2
        seen = -ended.count * log(self.spread) - square / (2 * self.spread**2)
        known = -((log(self.spread / _USUAL) / _UNUSUAL) ** 2) / 2
        return known + seen + sum(count * _beyond(self._z(size)) for size, count in active.logs())

    def _z(self, size: float) -> float:
        return (size - self.middle) / self.spread


def _middle(spread: float, ended: Lengths, active: Lengths) -> float:
    """The most likely middle for this spread, by Newton's method."""
    middle = ended.total / ended.count  # rows under way can only pull it up
    for _ in range(_NEWTON):
        # The slope of the likelihood falls ever less: from below, no step goes too far.
        slope, fall = (ended.total - ended.count * middle) / spread, float(ended.count)
        for size, count in active.logs():
            z = (size - middle) / spread
            hazard = _hazard(z)
            slope += count * hazard
            fall += count * hazard * (hazard - z)
        step = slope * spread / fall
        middle += step
        if step < _EXACT:
            break
    return middle


def _halved(low: float, high: float, below: Callable[[float], bool]) -> float:
    """The place between both where ``below`` ceases to hold."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return high


def _beyond(z: float) -> float:
    """The logarithm of the probability that a standard normal variable is larger."""
    if z > _FAR:
        return -z * z / 2 - log(z * sqrt(2 * pi))
    return log(erfc(z / sqrt(2)) / 2)


def _hazard(z: float) -> float:
    """The standard normal density for what is left beyond it; about ``z`` where both are nearly nothing."""
    return z if z > _FAR else exp(-z * z / 2 - _beyond(z)) / sqrt(2 * pi)
