"""What counts as a loop, in the end of a text.

There are two signs:

- an exact loop: the text ends with one piece again and again;
- a slow loop: the same sentences with small changes, so that in a long stretch few passages differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Repetition"]

_NEEDLE = 64
"""Characters of the end whose earlier occurrences are the candidates for a period."""
_CANDIDATES = 16
"""Occurrences that are tried: in a loop whose period holds the needle several times, most are none."""
_GRAM = 32
"""Characters of a passage: long enough that rows of a table, 0s and 1s or dates differ in it."""
_SHORT = 16
"""The same where words change often: most of these stand between two changes. Of a grid few differ too, so
they count only if the longer ones tell of a loop as well."""
_NEAR = 0.2
"""How far beyond `Repetition.share` that of the longer ones may be then; ordinary text is farther."""
_PROBES = 32
"""Passages that are looked at first: by them alone ordinary text shows that it is new."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """What is taken for a loop. All lengths are in characters, of the thinking or of the answer.

    Attributes:
        period: longest piece that is looked for as an exact loop.
        times: how often it must stand there, one behind the other.
        least: how long they must be together: short pieces stand there more often.
        window: the stretch in which a slow loop shows.
        share: which part of its passages differ from each other in a slow loop, at most; 0 looks for none.
    """

    period: int = 2000
    times: int = 5
    least: int = 2000
    window: int = 12288
    share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what finds loops in any text.

        Raises:
            ValueError: a number is out of its range.
        """
        if self.period < 1 or self.times < 2 or self.least < 256 or self.window < 2048:
            raise ValueError("needs period ≥ 1, times ≥ 2, least ≥ 256, window ≥ 2048")
        if self.reach > 100_000:
            raise ValueError("needs period times times, least and window each to be at most 100,000")
        if not 0 <= self.share <= 0.8:
            raise ValueError("needs share from 0 to 0.8: of ordinary text some passages stand twice")

    @classmethod
    def of(cls, value: Any) -> Repetition | None:
        """From a setting: ``off``, ``on``, ``KEY=VALUE,…``, or the same as a mapping.

        Raises:
            ValueError: it is none of these; says what is wrong.
        """
        if isinstance(value, Repetition | None):
            return value
        if isinstance(value, bool) or value in ("on", "off"):
            return cls() if value in (True, "on") else None
        known = [field.name for field in fields(cls)]
        if isinstance(value, str):
            items = (item.partition("=") for item in value.split(","))
            value = {key.strip(): number for key, _, number in items}
        if not isinstance(value, Mapping) or not value or set(value) - set(known):
            raise ValueError(f"must be on, off, or KEY=VALUE,… with keys {', '.join(known)}")
        numbers: dict[str, Any] = {}
        for key, given in value.items():
            try:
                numbers[key] = float(given) if key == "share" else int(given)
            except (TypeError, ValueError):
                raise ValueError(f"{key} must be a number, it is {given!r:.40}") from None
        return cls(**numbers)

    @property
    def reach(self) -> int:
        """Characters that tell all."""
        return max(self.period * self.times, self.least, self.window if self.share else 0)

    def loop(self, text: str, *, slow: bool) -> str | None:
        """How ``text`` ends in a loop, in words; ``None`` if it does not.

        ``slow``: look for slow ones too.
        """
        if (period := self._period(text)) is not None:
            return f"ends with {self._times(text, period)} times the same {period} characters"
        if slow and 0 < self.window <= len(text):
            share = self._different(text[-self.window :])
            if share <= self.share:
                return (
                    f"says nearly the same again and again: of its last {self.window} characters "
                    f"{share:.0%} are new"
                )
        return None

    def _period(self, text: str) -> int | None:
        """The period of the exact loop at the end."""
        needle = text[-_NEEDLE:]
        start = len(text) - _NEEDLE
        low, at = max(0, start - self.period), start
        for _ in range(_CANDIDATES):
            at = text.rfind(needle, low, at + _NEEDLE - 1)
            if at < 0:
                return None
            period = start - at
            length = max(period * self.times, self.least)
            if length <= len(text) and text[-length:-period] == text[period - length :]:
                return period
        return None

    def _different(self, text: str) -> float:
        """Which share of the passages of a stretch differ from each other; above ``share``, about that.

        In a loop that changes a word every hundred characters, passages long enough to tell a loop from a
        table are new too often: then those that are half as long decide.
        """
        count = len(text) - _GRAM + 1
        # In a loop, what stands at the end stood before as well. A few passages cost little to look up.
        step = (len(text) // 4) // _PROBES
        probes = range(count - step * _PROBES, count, max(1, step))
        new = sum(text.find(text[at : at + _GRAM], 0, at + _GRAM - 1) < 0 for at in probes)
        if new > _PROBES * (1 + self.share) / 2:
            return new / _PROBES
        share = len({text[at : at + _GRAM] for at in range(count)}) / count
        if not self.share < share <= self.share + _NEAR:
            return share
        count = len(text) - _SHORT + 1
        return len({text[at : at + _SHORT] for at in range(count)}) / count

    def _times(self, text: str, period: int) -> int:
        """How often the last ``period`` characters stand at the end, as far as the text goes."""
        times, piece = 1, text[-period:]
        while text.endswith(piece, 0, len(text) - times * period):
            times += 1
        return times
