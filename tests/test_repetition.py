"""Runaway text is found where it begins to be one, however it arrives, and its row fails by that name."""

from __future__ import annotations

import asyncio
import random
import re
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from time import process_time

import pytest

from helpers import Plain, crew, on_virtual_time, plan, rows, run, write_prompts
from tessy.abc import SwitchPolicy
from tessy.config import RunConfig, load
from tessy.draft import Draft
from tessy.errors import ConfigError
from tessy.execution import execute
from tessy.limits import Limits
from tessy.observer import Observer
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import StudentOnly
from tessy.repetition import Repetition
from tessy.runaway import Runaway
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.testing.scripted import Script
from tessy.types import Chunk, Finish, Prompt, Request, Span, Turn, TurnRecord

LOOP = "Wait, let me check this once more. The result is 12, so that is right. "


@cache
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


@pytest.mark.parametrize("size", [7, 30, 700, 5000])
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

    ordinary = words(1).split()

    def script(prompt: Prompt, request: Request) -> tuple[Iterator[str], Finish]:
        turn = request.turn.phase
        done = sum(len(span.text.split()) for span in request.spans if span.phase == turn)
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


class Interrupts(Observer):
    """Ends the run after so many turns."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.task: asyncio.Task[object] | None = None

    def turn(self, row: str, record: TurnRecord) -> None:
        self.turns -= 1
        if self.turns == 0 and self.task is not None:
            self.task.cancel()


def test_a_run_interrupted_again_and_again_finds_the_same(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)

    def a_while(folder: Path, turns: int) -> bool:
        async def work() -> bool:
            students = ScriptedBackend("student", ScriptedOptions(), script=looping(LOOP))
            observer = Interrupts(turns)
            made = plan(folder, prompts, crew(Plain(), student=students))
            observer.task = asyncio.create_task(execute(made, observer))
            await asyncio.wait([observer.task])
            return not observer.task.cancelled()

        done: bool = on_virtual_time(work())
        return done

    assert a_while(tmp_path / "straight", 10_000)
    pauses = [not a_while(tmp_path / "torn", 7) for _ in range(3)]
    while not a_while(tmp_path / "torn", 7):
        pauses.append(True)
    assert all(pauses)
    straight, torn = ((tmp_path / name / "failures.jsonl").read_bytes() for name in ("straight", "torn"))
    assert b'"repetition"' in straight
    assert straight == torn


def test_failed_rows_are_tried_so_often_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl", 1)
    student = ScriptedBackend("student", ScriptedOptions(), script=looping(LOOP))

    def again(attempts: int) -> int:
        made = crew(Plain(), student=student)
        assert run(plan(tmp_path / "run", prompts, made, retry_failed=True, attempts=attempts)).failed == 1
        attempt: int = rows(tmp_path / "run", "failures.jsonl")[0]["error"]["attempt"]
        return attempt

    assert [again(3) for _ in range(5)] == [0, 1, 2, 2, 2]
    assert caplog.text.count("1 failed rows are not tried again, they were tried 3 times") == 2
    assert [again(4), again(4)] == [3, 3]


# --- slow loops ---------------------------------------------------------------------------------


def varied(sentences: int, gap: int, seed: int = 7) -> str:
    """The same sentences again and again; about every ``gap`` characters one word is another."""
    chance = random.Random(seed)
    base = words(5).split()[: sentences * 12]
    out = []
    for _ in range(60_000 // (len(" ".join(base)) + 1)):
        again = list(base)
        for _ in range(max(1, len(" ".join(base)) // gap)):
            again[chance.randrange(len(again))] = str(chance.randrange(1000))
        out.append(" ".join(again) + ".\n")
    return "".join(out)


@pytest.mark.parametrize(
    ("sentences", "gap"), [(2, 150), (4, 90), (6, 80), (6, 200), (9, 100), (12, 400), (24, 400)]
)
def test_a_slow_loop_is_found(sentences: int, gap: int) -> None:
    text = words(1)[:7000] + varied(sentences, gap)
    end = found(text)
    assert end is not None
    assert end < 7000 + 16_000
    assert {found(text, size=size) for size in (1, 2047, 5000)} == {end}
    assert found(text, Repetition(share=0)) is None


@pytest.mark.parametrize("body", [320, 500])
@pytest.mark.parametrize("gap", [80, 100, 120])
@pytest.mark.parametrize("change", ["number", "word"])
def test_a_loop_that_changes_something_in_every_line_is_found(body: int, gap: int, change: str) -> None:
    """At fixed places of its body: a counter, a name."""
    chance, base = random.Random(body + gap), words(6)[:body]
    parts = [base[at : at + gap] for at in range(0, body, gap)]

    def other() -> str:
        number = str(chance.randrange(10_000))
        return number if change == "number" else "".join(chance.choices("klmnopqrst", k=6))

    text = words(1)[:7000] + "".join(f"{part} {other()} " for _ in range(60) for part in parts)
    end = found(text)
    assert end is not None
    assert end < 7000 + 16_000


def lines(make: str) -> str:
    """A long stretch of a kind of text that may well stand in a good trace."""
    chance = random.Random(3)
    n = range(1, 1500)
    return "\n".join(
        {
            "numbers": lambda i: f"{i},",
            "squares": lambda i: f"If n = {i}, then n^2 + 1 = {i * i + 1}, which is not divisible by 7.",
            "table": lambda i: f"| {i} | {i % 7} | {i * i} | yes |",
            "grid": lambda i: " ".join(chance.choice("01") for _ in range(24)),
            "csv": lambda i: (
                f"2024-01-{i % 28 + 1:02d},shop{chance.randrange(9)},{chance.randrange(100)},paid"
            ),
            "asserts": lambda i: f"    assert f([{i}, {chance.randrange(20)}]) == {chance.randrange(50)}",
            "html": lambda i: f'  <li class="item"><a href="/p/{i}">Item {i}</a></li>',
            "base64": lambda i: b64encode(chance.randbytes(57)).decode(),
            "dna": lambda i: "".join(chance.choice("ACGT") for _ in range(60)),
            "hex": lambda i: " ".join(f"{chance.randrange(256):02x}" for _ in range(16)),
        }[make](i)
        for i in n
    )


@pytest.mark.parametrize("kind", "numbers squares table grid csv asserts html base64 dna hex".split())
def test_what_only_looks_monotonous_is_no_loop(kind: str) -> None:
    assert found(lines(kind)) is None


TRUTH = "\n".join("| " + " | ".join("TF"[i >> b & 1] for b in range(8)) + " |" for i in range(256))


@pytest.mark.parametrize(
    "run", [TRUTH, "\n" * 1500, "-" * 1500, "0" * 1900, "    return None\n" * 100, "| --- " * 300]
)
def test_a_run_of_one_thing_inside_other_text_is_no_loop(run: str) -> None:
    assert found(words(1)[:9000] + run + words(2)[:9000] + run + words(3)[:9000]) is None


@pytest.mark.parametrize("piece", [words(1), "0, 0, 0, 1, 0, 0, 0, 0, 2, ", LOOP, "啊"])
def test_work_is_in_proportion_to_the_length(piece: str) -> None:
    """Of loops too, each of which is looked at for all that it is: here none is ever enough."""
    settings = Repetition(least=100_000, share=0.0001)

    def seconds(length: int) -> float:
        text = (piece * (length // len(piece) + 1))[:length]
        begin = process_time()
        for at in range(8):
            found(text[at : at + 96_000], settings, size=400)
        return process_time() - begin

    assert min(seconds(90_000) for _ in range(3)) < 16 * min(seconds(22_500) for _ in range(3))


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("off", None),
        (False, None),
        ("on", Repetition()),
        ("times=8, share=0", Repetition(times=8, share=0)),
        ({"window": 4096, "share": "0.1"}, Repetition(window=4096, share=0.1)),
    ],
)
def test_a_setting(given: object, expected: Repetition | None) -> None:
    assert RunConfig(repetition=given).repetition == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("of", "must be on, off, or KEY=VALUE,… with keys period, times, least, window, share"),
        ("times=x", "times must be a number, it is 'x'"),
        ("times=1", "times ≥ 2"),
        ("times=900", "at most 100,000"),
        ("share=0.9", "share from 0 to 0.8"),
        ({"tmes": 3}, "with keys period"),
        (["off"], "must be on, off"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_would_be_right(given: object, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        load(None, {"repetition": given})
    assert "--repetition" in str(caught.value)
