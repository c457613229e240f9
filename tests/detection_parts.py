"""Detectors whose labels betray what they have looked at, and ways to ask them."""

from __future__ import annotations

import asyncio
import random
import re
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import strategies as st

from tessy.abc import Options, StyleDetector
from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.draft import Draft
from tessy.track import Track
from tessy.types import Chunk, Label, Turn, Window

UNIT = re.compile(r"\s*\S+|\s+\Z")


class Hashing(StyleDetector):
    """Calls a word style by a hash of all that it may look at: any dependence on chunking shows."""

    lookahead = 7

    def __init__(self) -> None:
        super().__init__(Options())
        self.batches: list[list[Window]] = []
        self.forgotten: list[str] = []

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        self.batches.append(list(windows))
        return [self.one(window) for window in windows]

    def one(self, window: Window) -> list[Label]:
        labels, text, due = [], window.text, len(window.text) - self.lookahead
        for unit in UNIT.finditer(text):
            begin = max(unit.start(), window.new_from)
            if unit.end() <= begin:
                continue
            if unit.start() > due and not window.final:
                break
            seen = f"{window.anchor} {text[: unit.start() + self.lookahead]}"
            labels.append(Label(begin, unit.end(), zlib.crc32(seen.encode()) % 3 == 0))
        return labels

    def forget(self, key: str) -> None:
        self.forgotten.append(key)


class Gated(Hashing):
    """Answers a batch when the test opens the gate; keeps watch that calls never overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Semaphore(0)
        self.active = 0
        self.cancelled = 0

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        assert self.active == 0
        self.active += 1
        try:
            self.batches.append(list(windows))
            await self.gate.acquire()
            return [self.one(window) for window in windows]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.active -= 1


class Odd(Hashing):
    """Does what the test says with every batch."""

    def __init__(self, answer: Callable[[Sequence[Window]], object]) -> None:
        super().__init__()
        self.answer = answer

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        self.batches.append(list(windows))
        return self.answer(windows)  # type: ignore[return-value]


ORIGIN = Origin("style detector", "odd", "odd-package")


def detection(detector: StyleDetector, timeout: float = 60.0) -> Detection:
    return Detection(detector, ORIGIN, timeout=timeout)


def window(key: str, text: str = "one two three four five") -> Window:
    return Window(key, "teacher", 0, text, 0)


async def idle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)


async def write(track: Track, text: str, cuts: Sequence[int], draft: Draft | None = None) -> Draft:
    draft = draft or Draft(Turn("teacher"))
    edges = [0, *sorted(cuts), len(text)]
    for k, (start, end) in enumerate(pairwise(edges)):
        draft.extend(Chunk(text[start:end], finish="stop" if k == len(edges) - 2 else None))
        await track.extend(draft)
    return draft


def runs(draft: Draft) -> str:
    return "".join(
        "S" if label.style else "c" for label in draft.labels for _ in range(label.start, label.end)
    )


def babble(seed: int, length: int) -> str:
    rng = random.Random(seed)
    words = ("a", "word", "much-longer-word", "x" * 70, ".", "3.14")
    return "".join(rng.choice(words) + rng.choice((" ", "  ", "\n\n")) for _ in range(length))


# Long enough for several blocks, which hypothesis would seldom build from a list.
texts = st.builds(babble, st.integers(0, 999), st.integers(0, 300))
