"""Every policy with real engines: the miniature pair, or its student twice where one vocabulary is needed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from cast import NAMES, make
from scorer import ArithmeticScorer

pytest.importorskip("llama_cpp", reason="the extra 'llamacpp' is not installed")

from tessy import Chunk, Prompt, Request, Session, TurnRecord, Usage
from tessy.execution import execute
from tessy.plan import Plan
from tessy.testing.suites.runs import Cast, Watcher, check_row, data, traces
from tessy_llamacpp.backend import LlamaCppBackend
from tessy_llamacpp.options import LlamaCppOptions

pytestmark = pytest.mark.engine

MODELS = Path(__file__).parents[3] / "examples" / "miniature" / "models"
ROWS = 16


def backend(name: str) -> LlamaCppBackend:
    return LlamaCppBackend(str(MODELS / f"{name}.gguf"), LlamaCppOptions(n_ctx=1024, parallel=ROWS))


class Written:
    """A run: its rows, all turns of their thinking, and what each model wrote."""

    def __init__(
        self, folder: Path, name: str, student: LlamaCppBackend | None = None, **options: Any
    ) -> None:
        policy = make(name, **options)
        teacher = backend("student" if policy.needs.shared_vocabulary else "teacher")
        cast = Cast(
            policy,
            {"teacher": teacher, "student": student or backend("student")},
            ArithmeticScorer() if policy.needs.labels else None,
        )
        watcher = Watcher()
        plan = Plan(
            str(MODELS.parent / "prompts.jsonl"),
            folder,
            cast.crew(),
            name,
            dict.fromkeys(("teacher", "student"), "llamacpp:miniature"),
            limit=ROWS,
        )
        outcome = asyncio.run(execute(plan, watcher))
        assert not watcher.failures, watcher.failures[0].message
        assert outcome.done == ROWS
        self.rows = data(folder)
        for row in self.rows:
            check_row(row, policy.needs.roles, ("<think>\n", "\n</think>\n\n"))
        self.turns: list[TurnRecord] = [t for trace in traces(folder) for t in trace.turns]
        self.text = {
            role: "".join(s.text for trace in traces(folder) for s in trace.spans if s.author == role)
            for role in ("teacher", "student")
        }

    @property
    def right(self) -> int:
        """Rows whose answer is right."""
        answers = [row["messages"][-1]["content"].split("</think>")[-1] for row in self.rows]
        return sum(
            row["answer"] in re.findall(r"-?\d+", answer)
            for row, answer in zip(self.rows, answers, strict=True)
        )

    def noted(self, key: str) -> list[Any]:
        """What turns have under this key in their notes."""
        return [turn.note[key] for turn in self.turns if turn.note is not None and key in turn.note]


def test_specreason(tmp_path: Path) -> None:
    """The tiny teacher cannot judge; what it says is a rating all the same, and holds."""
    run = Written(tmp_path / "run", "specreason")
    for turn in run.turns:
        if turn.note is not None:
            assert 0 <= turn.note["rating"] <= 9
            assert turn.note["rejected"] == (turn.note["rating"] < 7) == (turn.kept == 0)
    assert run.text["teacher"]


def test_nudging(tmp_path: Path) -> None:
    run = Written(tmp_path / "run", "nudging")
    assert run.text["teacher"]
    assert run.text["student"]
    assert {turn.role for turn in run.turns if not turn.cut and turn.phase == "think"} == {"student"}
    assert run.right >= 14, "the teacher does the sums"


def test_r2r_entropy(tmp_path: Path) -> None:
    run = Written(tmp_path / "run", "r2r-entropy")
    assert len(run.noted("entropy")) >= ROWS
    assert min(run.noted("entropy")) >= 0.45
    assert {turn.tokens for turn in run.turns if turn.role == "teacher" and turn.phase == "think"} == {1}


def test_glimprouter(tmp_path: Path) -> None:
    run = Written(tmp_path / "run", "glimprouter", threshold=1.2)
    assert run.noted("entropy")
    assert min(run.noted("entropy")) >= 1.2
    assert all(turn.kept == 0 for turn in run.turns if turn.note is not None)
    assert run.text["teacher"]


def test_speculative_thinking(tmp_path: Path) -> None:
    run = Written(tmp_path / "run", "speculative-thinking")
    taken = [turn for turn in run.turns if turn.role == "teacher"]
    assert taken
    assert max(turn.tokens for turn in taken) <= 20


class Calling(LlamaCppBackend):
    """The student, trained to ask for help after its first words: the command comes in its stream."""

    def session(self, prompt: Prompt, key: str) -> Session:
        return _Calling(super().session(prompt, key))


class _Calling(Session):
    def __init__(self, session: Session) -> None:
        self._session = session

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        written = 0
        async with aclosing(self._session.generate(request)) as stream:
            async for chunk in stream:
                yield chunk
                written += len(chunk.text)
                if request.turn.phase == "think" and not request.spans and written > 40:
                    yield Chunk(" <call>12</call>", 1)

    def usage(self) -> Usage | None:
        return self._session.usage()

    async def close(self) -> None:
        await self._session.close()


def test_relayllm(tmp_path: Path) -> None:
    made = backend("student")
    run = Written(tmp_path / "run", "relayllm", Calling(made.model, made.options))
    assert run.noted("call") == [12] * ROWS
    assert "call" not in run.text["student"]
    assert all(0 < turn.tokens <= 12 for turn in run.turns if turn.role == "teacher")


def test_reward_guided(tmp_path: Path) -> None:
    """A student that adds up wrongly, held back by a scorer that checks sums."""
    run = Written(tmp_path / "run", "reward-guided")
    assert run.noted("rejected").count(True) >= 5
    alone = Written(tmp_path / "alone", "reward-guided", threshold=0)
    assert alone.text["teacher"] == ""
    assert run.right >= alone.right + 3


def test_adaswitch(tmp_path: Path) -> None:
    """A model agrees with itself, to within what arithmetic in another order changes."""
    run = Written(tmp_path / "run", "adaswitch", least=0.01)
    assert run.text["teacher"] == ""
    found = [one for recent in run.noted("recent") for one in recent]
    assert len(found) > 500
    assert max(found) < 0.01


def test_skd(tmp_path: Path) -> None:
    """With K = 1 all that the student drew, and is not the likeliest, is drawn again."""
    run = Written(tmp_path / "run", "skd", top=1)
    replaced = [turn for turn in run.turns if turn.note is not None]
    assert len(replaced) >= ROWS
    assert all(turn.note["logprob"] < turn.note["least"] for turn in replaced)
    agreed = Written(tmp_path / "agreed", "skd")
    assert agreed.text["teacher"] == "", "it is always among its own 25 likeliest"


def test_all_are_here() -> None:
    assert {f"test_{name.replace('-', '_')}" for name in NAMES} <= set(globals())
