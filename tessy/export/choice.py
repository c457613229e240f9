"""Which rows are exported, and to which part of a split: deterministic, whatever the order of the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import blake2b

import orjson

from tessy.export.settings import Settings
from tessy.rundata import Row

__all__ = ["Choice", "part", "prompt_hash"]


class Choice:
    """Filters and de-duplication over all rows of an export.

    Attributes:
        dropped: how many rows were left out, by reason.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: set[bytes] = set()
        self.dropped: Counter[str] = Counter()

    def takes(self, row: Row, scores: Mapping[str, float]) -> bool:
        """Whether the row is exported; if not, it is counted in ``dropped``."""
        reason = next(self._against(row, scores), None)
        if reason is not None:
            self.dropped[reason] += 1
        return reason is None

    def _against(self, row: Row, scores: Mapping[str, float]) -> Iterator[str]:
        want, tessy = self._settings, row.tessy
        if want.finish and tessy["finish"] not in want.finish:
            yield f"finish: {tessy['finish']}"
        length = sum(tessy["tokens"].values())
        if want.min_length is not None and length < want.min_length:
            yield "too short"
        if want.max_length is not None and length > want.max_length:
            yield "too long"
        if want.min_switches is not None and tessy["switches"] < want.min_switches:
            yield "too few switches"
        if want.max_switches is not None and tessy["switches"] > want.max_switches:
            yield "too many switches"
        for threshold in want.scores:
            value = scores.get(threshold.name)
            if value is None:
                yield f"no score {threshold.name}"
            elif not threshold.holds(value):
                yield f"score {threshold.name}"
        if want.dedup != "none":  # last: a row left out for something else stands for no other
            mark = _mark(row, want.dedup)
            if mark in self._seen:
                yield "duplicate"
            self._seen.add(mark)


def part(row: Row, share: float) -> str:
    """``train`` or ``validation``: by a hash of the prompt, so that all its rows go to the same."""
    if not share:
        return "train"
    drawn = int.from_bytes(prompt_hash(row), "big") / 2**128
    return "validation" if drawn < share else "train"


def prompt_hash(row: Row) -> bytes:
    """Sixteen bytes that stand for a prompt."""
    return blake2b(orjson.dumps(row.messages[:-1]), digest_size=16).digest()


def _mark(row: Row, dedup: str) -> bytes:
    if dedup == "prompt":
        return prompt_hash(row)
    parts = [part for message in row.messages for part in (message["role"], message["content"])]
    if dedup == "text":
        parts = [" ".join(part.casefold().split()) for part in parts]
    text = "\0".join(parts)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
