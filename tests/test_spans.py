"""Spans and turns of a trajectory: a plain list to whoever reads it, and little memory."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import tessy
from tessy.formats import BUILTIN, detect
from tessy.spans import Spans, Turns
from tessy.tokens import TokenLedger
from tessy.trajectory import Trajectory
from tessy.types import Label, Prompt, Request, Span, Turn, TurnRecord, join

ROLES = ("teacher", "student")
PIECES = ("So ", "x² ", "wait, ", "\n", "🙂", "\ud800", "the sum ")
FORMAT = detect(BUILTIN["chatml-think"], controls=frozenset())
PACKAGE = str(Path(tessy.__file__).parent / "*")
LENGTHS = (0, 1, 15, 79, 80, 81, 300, 515)


def span(n: int, rng: random.Random, last: int = 10_000) -> Span:
    text = "".join(rng.choices(PIECES, k=rng.randint(0, 9)))
    ids = None if n % 7 == 3 else tuple(rng.randrange(1 << 18) for _ in range(rng.randint(0, 12)))
    labels = (Label(0, len(text), True, 0.1 + 0.2), Label(0, 0, False)) if n % 5 == 0 else ()
    return Span(
        ROLES[n % 2],
        "think" if n < last else "answer",
        text,
        n,
        rng.randint(0, 12),
        ids,
        rng.randint(0, len(text)),
        n % 3 > 0,
        (None, "style", "capability")[n % 3],
        "instructed" if n % 11 == 0 else None,
        labels,
    )


def turn(n: int, rng: random.Random) -> TurnRecord:
    note = {"mean": rng.random(), "of": [1, None, "é"]} if n % 2 else None
    return TurnRecord(n, ROLES[n % 2], "think", n, n + 1, n // 4, "aborted", n % 3 > 0, note)


def both(kind: str, length: int) -> tuple[list[Any], Sequence[Any]]:
    """The values as a plain list, and packed."""
    rng = random.Random(length)
    if kind == "turns":
        turns = [turn(n, rng) for n in range(length)]
        return turns, Turns(turns)
    spans = [span(n, rng, last=length - 20) for n in range(length)]
    return spans, Spans(spans)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", ["spans", "turns"])
def test_it_reads_like_the_list_of_what_was_appended(kind: str, length: int) -> None:
    plain, packed = both(kind, length)
    assert len(packed) == length
    assert bool(packed) == bool(plain)
    assert list(packed) == plain
    assert list(reversed(packed)) == plain[::-1]
    assert packed == plain
    assert plain == packed
    assert repr(packed) == repr(plain)
    for i in range(-length, length):
        assert packed[i] == plain[i]
    for part in (slice(None), slice(-3, None), slice(length // 2, -1), slice(None, None, -7), slice(9, 2)):
        assert packed[part] == plain[part]
    for outside in (length, -length - 1):
        with pytest.raises(IndexError):
            packed[outside]


@pytest.mark.parametrize("kind", ["spans", "turns"])
def test_another_value_makes_it_another_list(kind: str) -> None:
    plain, packed = both(kind, 300)
    other = list(plain)
    other[5] = plain[6]
    assert packed != other
    assert packed != plain[:-1]
    assert packed != "text"


@pytest.mark.parametrize("length", LENGTHS)
def test_one_more_leaves_the_list_as_it_is(length: int) -> None:
    plain, packed = both("spans", length)
    assert isinstance(packed, Spans)
    more = span(length, random.Random(1))
    longer, same = packed.and_then(more), packed.copy()
    assert packed == plain
    assert longer == [*plain, more]
    packed.append(span(length, random.Random(2)))
    assert longer == [*plain, more]
    assert same == plain


@pytest.mark.parametrize("length", LENGTHS)
def test_text_is_joined_by_phase(length: int) -> None:
    plain, packed = both("spans", length)
    for phase in ("think", "answer"):
        assert join(packed, phase) == "".join(s.text for s in plain if s.phase == phase)
        assert join(packed[:], phase) == join(packed, phase)


def test_it_may_grow_while_it_is_gone_through() -> None:
    _, packed = both("spans", 100)
    assert isinstance(packed, Spans)
    seen = 0
    for value in packed:
        seen += 1
        if seen <= 100:
            packed.append(value)
    assert seen == 200


TOKENS = 10_000
WORDS = ("the", " sum", " of", " x", " and", " therefore", " wait", ",", " equation", " becomes", "\n", " 12")


class Numbered:
    """A large vocabulary, in which a text has about a token for four characters."""

    controls: frozenset[str] = frozenset()

    def encode(self, text: str) -> list[int]:
        return [100_000 + hash((text, i)) % 50_000 for i in range(len(text) // 4)]

    encode_control = encode

    def piece(self, token: int) -> bytes:
        return b"    "

    def is_end(self, token: int) -> bool:
        return False

    def bos(self) -> int | None:
        return None


def in_progress(rng: random.Random, *, listed: bool) -> tuple[Any, int]:
    """A trajectory that two models have written in turns, with what each has of it; its characters."""
    trajectory = Trajectory(Prompt.user("How many?"), row="r")
    done = 0
    while done < TOKENS:
        n = len(trajectory.turns)
        words = rng.choices(WORDS, k=5 if n % 2 else 20)
        text = "".join(words)
        # Numbers that follow no pattern: worse than what a language model writes.
        ids = tuple(rng.randrange(100_000, 150_000) for _ in words) if listed else None
        trajectory.spans.append(Span(ROLES[n % 2], "think", text, n, len(words), ids, len(text)))
        trajectory.turns.append(
            TurnRecord(n, ROLES[n % 2], "think", len(text), len(text) + 300, len(words), "aborted", True)
        )
        done += len(words)
    views = [TokenLedger(Numbered(), FORMAT, trajectory.prompt, role) for role in ROLES if listed]
    for role, view in zip(ROLES, views, strict=False):
        view.sync(Request(Turn(role), trajectory.spans, 0))
    return (trajectory, views), len(trajectory.thinking)


@pytest.mark.parametrize("listed", [True, False], ids=["tokens", "text"])
def test_a_trajectory_in_progress_takes_little_memory(listed: bool) -> None:
    """At most 64 KiB and three times its text, and a tenth more for what the allocator keeps."""
    rng, count = random.Random(0), 16
    in_progress(rng, listed=listed)  # what is made once
    held, characters = [], 0
    tracemalloc.start()
    try:
        for _ in range(count):
            one, length = in_progress(rng, listed=listed)
            held.append(one)
            characters += length
        gc.collect()
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    # Only what is made here: what a thread of another test allocates meanwhile is not the trajectories'.
    ours = snapshot.filter_traces([tracemalloc.Filter(True, path) for path in (PACKAGE, __file__)])
    bytes_each = sum(trace.size for trace in ours.traces) / count
    assert characters / count < bytes_each <= 1.1 * ((64 << 10) + 3 * characters / count)
