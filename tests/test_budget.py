"""What is spent, held against budgets: prices, time spans, and runs that stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers import Plain, crew, on_virtual_time, plan, rows, run, write_prompts
from tessy.abc import Context, Session
from tessy.budget import Budget, Meter, Price, parse_time, show_time
from tessy.crew import Crew
from tessy.dataset import DATA
from tessy.execution import execute
from tessy.journal import Store
from tessy.journal.records import TurnUsage
from tessy.observer import Observer
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import StudentOnly
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.types import Needs, Prepared, Prompt, Turn, Usage


class Counted(ScriptedBackend):
    """Knows what its sessions have written."""

    def __init__(self, model: str, options: ScriptedOptions) -> None:
        super().__init__(model, options)
        self.made: list[Session] = []

    def session(self, prompt: Prompt, key: str) -> Session:
        self.made.append(super().session(prompt, key))
        return self.made[-1]

    @property
    def written(self) -> int:
        used = [session.usage() for session in self.made]
        return sum(usage.generated for usage in used if usage is not None)


SLOW: dict[str, Any] = {"think": 300, "delay": 0.01}


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", 12)


def spent(folder: Path) -> tuple[int, float]:
    store = Store(folder / "journal.sqlite", write=False)
    try:
        return sum(row["generated"] for row in store.totals()), store.seconds()
    finally:
        store.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3600", 3600), ("90m", 5400), ("2h30m", 9000), ("1d", 86400), (1.5, 1.5), ("0.5H", 1800)],
)
def test_time_spans(text: str | float, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "30m2h", "1.2.3h", "soon", "nan", "inf", "m", True])
def test_what_is_no_time_span(text: str) -> None:
    with pytest.raises(ValueError, match="no time span"):
        parse_time(text)


def test_times_are_shown_as_they_are_given() -> None:
    assert [show_time(s) for s in (2.5, 42, 5400, 9000, 3600, 3661)] == [
        "2.5s",
        "42s",
        "1h30m",
        "2h30m",
        "1h",
        "1h1m1s",
    ]


def test_prices() -> None:
    assert Price.parse("3,15,0.3").cost(prompt=1_000_000, cached=400_000, generated=100_000) == pytest.approx(
        1.8 + 0.12 + 1.5
    )
    assert Price.parse("3,15").cost(1_000_000, 400_000, 0) == pytest.approx(3)
    for wrong in ("3", "3,x", "3,-1", "nan,1", "1,2,3,4", ""):
        with pytest.raises(ValueError, match="price"):
            Price.parse(wrong)


def test_what_has_no_price_costs_nothing_and_counts_as_tokens() -> None:
    meter = Meter(Budget(cost=1.0, prices={"teacher": Price(0, 10)}))
    meter.spend(TurnUsage("student", Usage(prompt=10**9, generated=10**9)))
    assert (meter.tokens, meter.cost, meter.why) == (10**9, 0, None)
    meter.spend(TurnUsage("teacher", Usage(generated=100_000)))
    assert meter.why is not None
    assert "the budget of 1.00 is spent" in meter.why
    assert "--budget-cost" in meter.why


def test_a_run_stops_when_its_tokens_are_spent_and_ends_in_the_same_bytes(
    tmp_path: Path, prompts: Path
) -> None:
    folder, stops, before = tmp_path / "run", 0, 0
    for limit in range(1_000, 100_000, 1_000):
        outcome = run(plan(folder, prompts, crew(**SLOW), budget=Budget(tokens=limit), concurrency=3))
        tokens, _ = spent(folder)
        if outcome.stopped is None:
            break
        stops += 1
        assert f"{limit:,} tokens" in outcome.stopped
        # What is in flight comes on top: not more than three drafts.
        assert limit <= tokens <= limit + 3 * 300
        assert tokens > before
        before = tokens
    assert outcome.done == 12
    assert stops > 2
    run(plan(tmp_path / "whole", prompts, crew(**SLOW)))
    assert (folder / DATA).read_bytes() == (tmp_path / "whole" / DATA).read_bytes()


class Asks(Plain):
    """Asks the teacher for a long reference before each row; ``how``: as a question or as a draft."""

    needs = Needs(roles=("teacher", "student"))

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
        if self.how == "draft":
            chunks = await context.draft(Turn("teacher"))
            return Prepared(metadata={"reference": "".join(chunk.text for chunk in chunks)})
        reply = await context.ask("teacher", prompt.messages, think=True)
        return Prepared(metadata={"reference": reply.thinking})


@pytest.mark.parametrize("how", ["ask", "draft"])
@pytest.mark.parametrize(
    ("limit", "most"),
    [
        # What has come and is no whole block yet is in flight, of two questions.
        (lambda step: Budget(tokens=700 * step), lambda step: 700 * step + 2 * 256),
        (
            lambda step: Budget(cost=0.7 * step, prices={"teacher": Price(0, 1_000)}),
            lambda step: 700 * step + 2 * 256,
        ),
        # A token takes a hundredth of a second.
        (lambda step: Budget(seconds=7.0 * step), lambda step: 2 * 700 * step + 100),
    ],
    ids=["tokens", "cost", "time"],
)
def test_a_long_question_is_stopped_as_a_turn_is(
    tmp_path: Path, prompts: Path, how: str, limit: Callable[[int], Budget], most: Callable[[int], int]
) -> None:
    def made() -> Crew:
        teacher = ScriptedBackend("teacher", ScriptedOptions(think=3000, delay=0.01))
        return crew(Asks(how), teacher=teacher, think=20)

    folder, before = tmp_path / "run", 0
    for step in (1, 2):
        outcome = run(plan(folder, prompts, made(), budget=limit(step), concurrency=2, limit=2))
        assert outcome.stopped is not None
        assert (outcome.done, outcome.failed) == (0, 0)
        tokens, _ = spent(folder)
        assert before < tokens <= most(step), "it adds up"
        before = tokens
    assert run(plan(folder, prompts, made(), limit=2)).done == 2
    run(plan(tmp_path / "whole", prompts, made(), limit=2))
    assert (folder / DATA).read_bytes() == (tmp_path / "whole" / DATA).read_bytes()
    tokens, _ = spent(tmp_path / "whole")
    written = sum(len(row["tessy"]["prepared"]["reference"].split()) for row in rows(tmp_path / "whole"))
    assert written > 2 * 2500
    assert tokens >= written, "in blocks or not, each token is booked"
    assert tokens <= written + 2 * 60, "and once"


def test_a_budget_that_is_spent_at_the_start_generates_nothing(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts, crew(**SLOW), budget=Budget(tokens=500)))
    before = spent(tmp_path / "run")
    outcome = run(plan(tmp_path / "run", prompts, crew(**SLOW), budget=Budget(tokens=500)))
    assert outcome.stopped is not None
    assert spent(tmp_path / "run")[0] == before[0]


def test_a_run_that_is_complete_is_not_stopped(tmp_path: Path, prompts: Path) -> None:
    run(plan(tmp_path / "run", prompts))
    assert run(plan(tmp_path / "run", prompts, budget=Budget(tokens=1))).stopped is None


def test_time_adds_up_over_processes(tmp_path: Path, prompts: Path) -> None:
    folder = tmp_path / "run"
    for seconds in (2.0, 4.0):
        outcome = run(
            plan(folder, prompts, crew(think=3000, delay=0.01), budget=Budget(seconds=seconds), concurrency=2)
        )
        assert outcome.stopped is not None
        assert spent(folder)[1] == pytest.approx(seconds, abs=0.5)


def test_what_an_interrupt_threw_away_is_booked(tmp_path: Path, prompts: Path) -> None:
    """A draft that nobody keeps was paid for all the same."""
    student = Counted("student", ScriptedOptions(**SLOW))
    made = crew(StudentOnly(IsolationOptions()), student=student)

    async def interrupted() -> None:
        task = asyncio.ensure_future(
            execute(plan(tmp_path / "run", prompts, made, concurrency=4), Observer())
        )
        await asyncio.sleep(1.003)
        task.cancel()
        await asyncio.wait((task,))

    on_virtual_time(interrupted())
    assert spent(tmp_path / "run")[0] == student.written > 300
