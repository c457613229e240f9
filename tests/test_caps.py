"""Limits that the core gives requests of its own, where what an engine writes after an abort costs."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import (
    Plain,
    WordDetector,
    booked,
    check_row,
    crew,
    on_virtual_time,
    plan,
    rows,
    run,
    write_prompts,
)
from tessy.abc import Capabilities, Options, Session
from tessy.caps import learn
from tessy.execution import execute
from tessy.observer import Observer
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.testing.simulated import Lengths
from tessy.testing.simulated.model import lognormal
from tessy.types import Chunk, Prompt, Request, TurnRecord, Usage

ALL = 1 << 30


class Late(ScriptedBackend):
    """Writes, and bills, ``delay`` tokens more than were read, but no more than it was asked for."""

    def __init__(self, name: str, options: ScriptedOptions, *, capped: bool, delay: int = ALL) -> None:
        super().__init__(name, options)
        self.capped = capped
        self.delay = delay
        self.asked: list[Request] = []

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, capped=self.capped)

    def session(self, prompt: Prompt, key: str) -> Session:
        return LateSession(self, super().session(prompt, key), prompt)


class LateSession(Session):
    def __init__(self, backend: Late, inner: Session, prompt: Prompt) -> None:
        self.backend = backend
        self.prompt = prompt
        self.inner = inner
        self.late = 0

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.backend.asked.append(request)
        whole = await self.text(request)
        read, finished = 0, False
        try:
            async with aclosing(self.inner.generate(request)) as chunks:
                async for chunk in chunks:
                    read += chunk.tokens
                    finished = chunk.finish is not None
                    yield chunk
        finally:
            if not finished:
                self.late += min(whole - read, self.backend.delay)

    async def text(self, request: Request) -> int:
        """Tokens that it would write, were it not aborted."""
        words, _ = self.backend.script(self.prompt, request)
        most = request.turn.max_tokens or ALL
        return min(most, sum(1 for _ in words))

    def usage(self) -> Usage | None:
        # The late ones cost, whoever reads them.
        inner = self.inner.usage()
        return None if inner is None else inner + Usage(generated=self.late)

    async def close(self) -> None:
        await self.inner.close()


class Look(WordDetector):
    """One that wants to see so many characters."""

    def __init__(self, lookahead: int) -> None:
        super().__init__(Options())
        self.lookahead = lookahead


def cast(capped: bool, delay: int = ALL, policy: Any = None, look: int = 0, **options: Any) -> Any:
    made = ScriptedOptions(**options)
    pair = {role: Late(role, made, capped=capped, delay=delay) for role in ("teacher", "student")}
    return crew(policy, detector=Look(look), **pair)


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 1 << 30),
    delay=st.sampled_from([0, 1, 5, 50, ALL]),
    look=st.sampled_from([0, 10, 40]),
    style=st.integers(1, 12),
    capability=st.integers(1, 40),
    k=st.sampled_from([None, 7, 30]),
)
def test_caps_change_no_text_and_never_discard_more(
    seed: int, delay: int, look: int, style: int, capability: int, k: int | None
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        prompts = write_prompts(folder / "prompts.jsonl", 2)
        figures = {}
        for capped in (False, True):
            policy = TessyPolicy(TessyOptions(k=k))
            made = cast(capped, delay, policy, look, think=200, style=style, capability=capability, answer=20)
            out = folder / str(capped)
            assert run(plan(out, prompts, made, seed=seed)).done == 2
            figures[capped] = booked(out)
        free, capped_ = figures[False], figures[True]
        assert (folder / "True/data.jsonl").read_bytes() == (folder / "False/data.jsonl").read_bytes()
        assert capped_["kept"] == free["kept"]
        assert capped_["discarded"] <= free["discarded"]
        assert capped_["requests"] >= free["requests"]
        for row in rows(folder / "True"):
            check_row(row)


def test_where_all_that_was_asked_for_is_billed_little_is_wasted(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 4)
    wasted, requests = {}, {}
    for capped in (False, True):
        made = cast(capped, style=5, capability=30, think=3000, look=10)
        run(plan(tmp_path / str(capped), prompts, made))
        figures = booked(tmp_path / str(capped))
        wasted[capped] = figures["discarded"] / figures["kept"]
        requests[capped] = figures["requests"]
    assert wasted[False] > 50  # tokens thrown away for one that is kept
    assert wasted[True] < 2
    assert requests[True] <= 1.1 * requests[False]


def test_a_run_that_is_cut_off_in_a_piece_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """Long spans, so that pieces begin on both sides of the checkpoints at every 256th token."""
    prompts = write_prompts(tmp_path / "prompts.jsonl", 2)
    options = {"style": 3, "capability": 900, "think": 2500, "answer": 300, "delay": 0.01}

    def made() -> Any:
        pair = {r: Late(r, ScriptedOptions(**options), capped=True) for r in ("teacher", "student")}
        return crew(detector=Look(20), **pair)

    run(plan(tmp_path / "calm", prompts, made()))
    expected = (tmp_path / "calm/data.jsonl").read_bytes()
    resumed = 0
    for after in (3.7, 6.1, 9.3, 14.9):
        folder = tmp_path / str(after)

        async def interrupted(folder: Path = folder, after: float = after) -> None:
            import asyncio

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(execute(plan(folder, prompts, made()), Observer()), after)

        on_virtual_time(interrupted())
        cast_ = made()
        run(plan(folder, prompts, cast_))
        assert (folder / "data.jsonl").read_bytes() == expected
        resumed += any(
            request.done and not request.uncommitted
            for backend in cast_.backends.values()
            for request in backend.asked
        )
    assert resumed, "no run was resumed in the middle of a turn"


def test_only_what_may_be_cut_is_capped(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)
    for name, policy in (("plain", Plain()), ("tessy", None)):
        made = cast(True, policy=policy, think=200, answer=100)
        run(plan(tmp_path / name, prompts, made))
        asked = [request for backend in made.backends.values() for request in backend.asked]
        assert any(request.more for request in asked) == (name == "tessy")
        assert not any(request.more for request in asked if request.turn.phase == "answer")


def test_an_engine_that_has_come_to_its_end_ends_the_turn(tmp_path: Path) -> None:
    """A context that is full says `length` without a word; asking again and again would never end."""
    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)
    made = cast(True)
    for backend in made.backends.values():
        backend.script = lambda prompt, request: ("", "length")
    outcome = run(plan(tmp_path / "run", prompts, made))
    assert outcome.failed == 1
    assert rows(tmp_path / "run", "failures.jsonl")[0]["error"]["reason"] == "no_progress"


# --- what is learnt -----------------------------------------------------------------------------


def turns(lengths: Sequence[int], role: str = "teacher", **fields: Any) -> list[TurnRecord]:
    record = TurnRecord(0, role, "think", 0, 0, 0, "aborted", True)
    return [replace(record, n=n, kept=4 * t, tokens=t, **fields) for n, t in enumerate(lengths)]


def test_one_request_is_enough_for_most_spans_and_asks_for_little_more() -> None:
    random_ = random.Random(1)
    lengths = Lengths()
    for mean in (lengths.style, lengths.capability):
        spans = [max(1, round(lognormal(random_, mean, lengths.span_spread))) for _ in range(4000)]
        further = waste = 0
        for i, length in enumerate(spans):
            caps = learn(turns(spans[max(0, i - 64) : i]), "teacher", 0)
            asked = caps.room(0)
            while asked < length:
                further += 1
                asked += caps.room(asked)
            waste += asked - length
        assert 0.02 < further / len(spans) < 0.1
        assert waste / sum(spans) < 2.2


def test_only_the_roles_own_cut_turns_count() -> None:
    known = turns([10] * 20)
    others = turns([500] * 20, "student") + turns([500] * 20, cut=False) + turns([500] * 20, phase="answer")
    assert learn([*known, *others], "teacher", 0).room(0) == learn(known, "teacher", 0).room(0) < 20
    assert learn(others, "teacher", 0).room(0) == learn([], "teacher", 0).room(0) > 60


def test_lookahead_is_asked_for_besides() -> None:
    known = turns([10] * 20)
    assert learn(known, "teacher", 40).room(0) == learn(known, "teacher", 0).room(0) + 10


def test_pieces_end_at_the_same_places_wherever_the_turn_is_resumed() -> None:
    def ends(done: int) -> list[int]:
        caps, found = learn(turns([10] * 20), "teacher", 0), []
        while done < 2000:
            done += caps.room(done)
            found.append(done)
        return found

    whole = ends(0)
    for done in (256, 512, 1024):
        assert ends(done) == [end for end in whole if end > done]


def test_a_cap_that_is_reached_is_not_asked_for_again() -> None:
    """Services that hide their tokens send several in one event: fewer were counted than came."""
    caps = learn([], "teacher", 0)
    first = caps.room(0)
    caps.reached()
    assert caps.room(first // 2) == 2 * first - first // 2
