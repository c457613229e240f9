"""Runaway text is found where it begins to be one, however it arrives, and its row fails by that name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest

from helpers import Plain, crew, plan, rows, run, write_prompts
from tessy.abc import SwitchPolicy
from tessy.draft import Draft
from tessy.limits import Limits
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import StudentOnly
from tessy.repetition import Repetition, Runaway
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.testing.scripted import Script
from tessy.types import Chunk, Finish, Prompt, Request, Span, Turn

LOOP = "Wait, let me check this once more. The result is 12, so that is right. "


def words(seed: int) -> str:
    """Ordinary text: nothing in it stands twice."""
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefghij", k=chance.randint(2, 9))) for _ in range(9000)) + " "


def found(text: str, settings: Repetition | None = None, size: int = 40) -> int | None:
    """Where a text that streams in one turn is a loop."""
    runaway, draft = Runaway(settings or Repetition()), Draft(Turn("student", "think"))
    for at in range(0, len(text), size):
        draft.extend(Chunk(text[at : at + size]))
        if (end := runaway.find(draft)) is not None:
            return end
    return None


@pytest.mark.parametrize("piece", ["x", "啊", "\n", "ha ", LOOP, words(2)[:700], words(3)[:1900]])
def test_an_exact_loop_is_found_soon_after_it_is_long_enough(piece: str) -> None:
    before, settings = words(1)[:5000], Repetition()
    end = found(before + piece * (20_000 // len(piece)))
    assert end is not None
    enough = len(before) + max(settings.times * len(piece), settings.least)
    assert enough <= end <= enough + 256


def test_a_needle_that_stands_in_the_piece_many_times_hides_no_loop() -> None:
    piece = "The row is 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0. " * 8 + "Next row: "
    assert found(words(1)[:3000] + piece * 30) is not None


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_stands_there_a_few_times_is_no_loop(times: int) -> None:
    assert found(words(1)[:3000] + words(2)[:1500] * times + words(4)[:5000]) is None
    assert found(words(1)[:3000] + LOOP * 8 * times + words(4)[:5000]) is None


def test_where_it_is_found_depends_on_the_text_alone() -> None:
    text = words(1)[:5001] + LOOP * 200
    assert {found(text, size=size) for size in (1, 7, 64, 255, 256, 257, 4096, len(text))} == {found(text)}


def test_off_finds_nothing() -> None:
    runaway, draft = Runaway(None), Draft(Turn("student", "think"))
    draft.extend(Chunk("x" * 50_000))
    assert runaway.find(draft) is None


@pytest.mark.parametrize("size", [1, 30, 700, 5000])
def test_turns_and_resumes_do_not_change_where(size: int) -> None:
    text = words(1)[:5001] + LOOP * 200
    end, spans, at = found(text), list[Span](), 0
    runaway = Runaway(Repetition())
    while runaway.found is None:
        draft = Draft(Turn("student", "think"))
        draft.extend(Chunk(text[at : at + size] + "rejected " * 300))
        loop = runaway.find(draft)
        kept = size if loop is None else min(size, loop)
        spans.append(draft.span(kept, len(spans)))
        runaway.commit(draft, spans[-1], kept)
        at += kept
        if at % 3 == 0:
            before, runaway = runaway.found, Runaway(Repetition(), spans)
            assert runaway.found == before
    assert at == end


def test_the_answer_may_say_again_what_the_thinking_said() -> None:
    runaway = Runaway(Repetition())
    for phase in ("think", "answer"):
        draft = Draft(Turn("student", phase))
        draft.extend(Chunk(LOOP * 20))
        assert runaway.find(draft) is None
        runaway.commit(draft, draft.span(len(draft), 0), len(draft))


# --- in a run -----------------------------------------------------------------------------------


def looping(loop: str, *, phase: str = "think", after: int = 300, stops: int = 6000) -> Script:
    """Ordinary words, then a loop, by what stands there already."""

    def script(prompt: Prompt, request: Request) -> tuple[Iterator[str], Finish]:
        turn = request.turn.phase
        done = sum(len(span.text.split()) for span in request.spans if span.phase == turn)
        ordinary = words(1).split()
        if turn != phase:
            return (f"{word} " for word in ordinary[done:60]), "end_of_turn" if turn == "answer" else (
                "end_of_thinking"
            )
        stream = (f"{word} " for half in (ordinary[:after], cycle(loop.split())) for word in half)
        return islice(stream, done, stops), "end_of_thinking"

    return script


@pytest.mark.parametrize("phase", ["think", "answer"])
@pytest.mark.parametrize("policy", [Plain, lambda: StudentOnly(IsolationOptions()), lambda: None])
def test_a_row_that_loops_fails_by_that_name_with_its_text(
    tmp_path: Path, policy: object, phase: str
) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)
    seen = set()
    for chunk in (1, 13, 400):
        made = [
            ScriptedBackend(role, ScriptedOptions(chunk=chunk), script=looping(LOOP, phase=phase))
            for role in ("teacher", "student")
        ]
        chosen: SwitchPolicy | None = policy()  # type: ignore[operator]
        folder = tmp_path / f"run{chunk}"
        assert run(plan(folder, prompts, crew(chosen, teacher=made[0], student=made[1]))).failed == 1
        (row,) = rows(folder, "failures.jsonl")
        assert row["error"]["reason"] == "repetition"
        name = "thinking" if phase == "think" else "answer"
        assert row["error"]["message"].startswith(f"the {name} ends with ")
        assert f"the same {len(LOOP)} characters" in row["error"]["message"]
        assert 4000 <= len(row["partial"][name]) <= 6000
        seen.add((folder / "failures.jsonl").read_bytes())
    assert len(seen) == 1


def test_off_lets_a_loop_run_to_the_limit(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)
    student = ScriptedBackend("student", ScriptedOptions(), script=looping(LOOP))
    limits = Limits(max_length=2000, repetition=None)
    assert run(plan(tmp_path / "run", prompts, crew(Plain(), student=student), limits=limits)).failed == 1
    assert rows(tmp_path / "run", "failures.jsonl")[0]["error"]["reason"] == "length"
