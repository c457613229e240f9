"""The examination as a whole: its bound, its time limits, what it says of policies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from doctor.patients import (
    POLICIES,
    Patient,
    examine_one,
    examined,
    finding,
    made,
    patient,
    registry,
)
from helpers import on_virtual_time
from tessy.abc import Capabilities, Options, SwitchPolicy
from tessy.config import RunConfig
from tessy.doctor import Report, Settings, Watcher, examine, targets
from tessy.errors import BackendUnavailable, ConfigError
from tessy.types import Done, Needs, Usage


def total(usage: Usage) -> int:
    return usage.prompt + usage.generated


class Listening(Watcher):
    def __init__(self) -> None:
        self.bounds: list[int] = []
        self.spent = -1
        self.starting: list[int] = []

    def starts(self, report: Report) -> None:
        self.starting.append(report.starting)

    def announced(self, reports: Sequence[Report]) -> None:
        self.bounds = [report.bound.total for report in reports if report.bound is not None]
        self.spent = sum(total(one.spent) for one in made)


@pytest.mark.parametrize(
    "ill",
    [
        {},
        {"template": 200},
        {"template": 1500},
        {"counts": False},
        {"ids": False},
        {"marks": ("", "")},
        {"says": lambda request: "no."},
        {"hangs": True},
        {"leaks": True},
        {"can": Capabilities(context=512)},
    ],
    ids=lambda ill: "-".join(ill) or "healthy",
)
@pytest.mark.parametrize("most", [None, 5000, 3000])
def test_the_announced_bound_is_never_exceeded(ill: dict[str, Any], most: int | None) -> None:
    told = Listening()
    report = examine_one(watcher=told, max_tokens=most, **ill)
    assert told.spent == 0
    assert report.bound is not None
    assert told.bounds == [report.bound.total]
    assert 0 < total(made[0].spent) <= report.bound.total
    assert most is None or report.bound.total <= most
    if ill.get("counts", True):
        assert report.spent == made[0].spent


def test_a_longer_template_than_allowed_for_costs_checks_not_tokens() -> None:
    report = examine_one(template=2000)
    skipped = [found for found in report.findings if found.status == "skipped"]
    assert skipped
    assert all("of those announced are left" in found.summary for found in skipped)
    assert not any(found.status == "skipped" for found in examine_one(template=200).findings)


def test_no_tokens_no_questions() -> None:
    report = examine_one(max_tokens=0)
    assert report.usable
    assert made[0].sessions == []
    assert {found.status for found in report.findings[1:]} == {"skipped"}
    assert all("more than --max-tokens leaves" in found.summary for found in report.findings[1:])
    assert report.facts == {"rate limits": {"requests": 60}}


@pytest.mark.parametrize("most", [None, 400, 2000])
def test_a_start_that_costs_is_announced_and_counts(most: int | None) -> None:
    told = Listening()
    report = examine_one(watcher=told, starting=400, max_tokens=most)
    assert (told.starting, report.usable) == ([400], True)
    assert report.bound is not None
    assert most is None or 400 + report.bound.total <= most
    assert report.as_json()["start_tokens"] == 400


def test_a_start_that_costs_more_than_allowed_is_left_out() -> None:
    told = Listening()
    report = examine_one(watcher=told, starting=400, max_tokens=399)
    assert (told.starting, report.usable, made[0].sessions) == ([], False, [])
    assert "may take 400 tokens" in report.findings[0].summary


def test_a_small_budget_takes_the_first_checks() -> None:
    report = examine_one(max_tokens=1300)
    ran = [found.check for found in report.findings if found.status != "skipped"]
    assert ran == ["start", "planted number", "middle of a word", "control tokens", "speed"]


@pytest.mark.parametrize("clings", [False, True])
def test_streams_that_hang_time_out_and_the_next_backend_is_examined(clings: bool) -> None:
    """Also one that hangs while it is being closed."""
    of = registry(ill=patient(hangs=True, clings=clings), p=patient())
    ill, well = examined("ill:m", "p:m", of=of, timeout=3.0).reports
    asked = [found for found in ill.findings if found.check != "start" and found.status != "skipped"]
    assert {found.verdict for found in asked} == {"timed out"}
    assert all("no answer within 3 s" in found.summary for found in asked)
    assert {found.status for found in well.findings} <= {"ok", "unsure"}
    assert all(one.closed for one in made)


def test_a_start_that_hangs_or_fails_is_one_backends_fault() -> None:
    of = registry(
        slow=patient(start_seconds=1e6),
        down=patient(start_error=BackendUnavailable("connection refused")),
        odd=patient(start_error=ZeroDivisionError("oh")),
        p=patient(),
    )
    diagnosis = examined("slow:m", "down:m", "odd:m", "none:m", "p:", "p:m", of=of, start_timeout=5.0)
    said = [(report.usable, report.findings[0].summary) for report in diagnosis.reports]
    assert said[0] == (False, "timed out: no answer within 5 s")
    assert said[1] == (False, "connection refused")
    assert not said[2][0]
    assert said[2][1].startswith("backend 'odd' (package tests) failed in start: ZeroDivisionError: oh (in")
    assert "no backend 'none'" in said[3][1]
    assert "a backend needs a model" in said[4][1]
    assert said[5][0]
    assert not diagnosis.usable
    assert all(one.closed for one in made)
    casts = {cast.spec: cast.reason for cast in diagnosis.policies[0].castings}
    assert casts == {
        "slow:m": "it could not be started",
        "down:m": "it could not be started",
        "odd:m": "it could not be started",
        "none:m": "it could not be started",
        "p:": "it could not be started",
        "p:m": None,
    }


def test_what_fails_when_it_is_closed_is_told() -> None:
    class Stuck(Patient):
        async def close(self) -> None:
            await asyncio.Event().wait()

    report = examined("p:m", of=registry(p=Stuck), timeout=1.0).reports[0]
    assert finding(report, "close").verdict == "timed out"
    assert finding(report, "speed").status == "ok"


class Scorer(SwitchPolicy):
    """Needs scores of the teacher and five alternatives of both."""

    needs = Needs(continues=(), top_logprobs={"teacher": 5, "student": 5}, scores=("teacher",))  # type: ignore[assignment]

    def next_turn(self, trajectory: Any) -> Done:
        return Done()


class Strict(SwitchPolicy):
    """Has an option without a default."""

    class Options(Options):
        k: int

    needs = Needs()  # type: ignore[assignment]

    def next_turn(self, trajectory: Any) -> Done:
        return Done()


def test_a_verdict_for_every_policy_and_role() -> None:
    of = registry(
        policies={**POLICIES, "scorer": Scorer, "strict": Strict},
        p=patient(can=Capabilities(top_logprobs=5)),
        none=patient(can=Capabilities(continuation=False, scoring=True)),
        over=patient(says=lambda request: "Okay, so."),
    )
    diagnosis = examined("p:m", "none:m", "over:m", of=of)
    verdicts = {one.policy: one for one in diagnosis.policies}
    assert sorted(verdicts) == ["scorer", "strict", "student-only", "teacher-only", "tessy"]
    reasons = {
        (name, cast.role, cast.spec): cast.reason or cast.doubt
        for name, one in verdicts.items()
        for cast in one.castings
    }
    over = "it started over where it should have continued"
    for role in ("teacher", "student"):
        cannot = "needs continuation; cannot continue a text that another model began"
        assert reasons["tessy", role, "p:m"] is None
        assert reasons["tessy", role, "none:m"] == cannot
        assert reasons["tessy", role, "over:m"] == over
        assert reasons[f"{role}-only", role, "over:m"] is None
        assert reasons[f"{role}-only", role, "none:m"] is None
    few = "needs the 5 best log-probabilities of each token (top_logprobs); reports 0"
    assert reasons["scorer", "teacher", "none:m"] == few
    assert reasons["scorer", "teacher", "p:m"] == "needs scores of given text (scoring); cannot score"
    assert reasons["scorer", "student", "p:m"] is None
    assert "k" in (verdicts["strict"].error or "")
    assert verdicts["tessy"].error is None


def test_equal_specs_are_one_backend_with_all_its_roles() -> None:
    config = RunConfig.model_validate({"backends": {"teacher": "p:a", "student": "p:a"}})
    reports = examined("p:a", "p:b", "p:b", of=registry(p=patient()), config=config).reports
    assert [(report.spec, report.roles) for report in reports] == [
        ("p:a", ("teacher", "student")),
        ("p:b", ()),
    ]
    assert len(made) == 2


def test_what_a_variable_holds_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "canary-3b1f9c")

    class Talkative(Patient):
        def facts(self) -> dict[str, Any]:
            return {"path": f"/models/{self.model}"}

        async def active(self) -> int:
            raise ConfigError(f"{self.model}: no gauge")

    diagnosis = examined("p:${CANARY}", of=registry(p=Talkative))
    text = json.dumps(diagnosis.as_json())
    assert "canary" not in text
    assert "/models/${CANARY}" in text
    assert "${CANARY}: no gauge" in text


def test_facts_that_cannot_be_told_spoil_nothing() -> None:
    class Silent(Patient):
        def facts(self) -> dict[str, Any]:
            raise KeyError("x")

    report = examined("p:m", of=registry(p=Silent)).reports[0]
    assert "failed in facts: KeyError" in finding(report, "facts").summary
    assert finding(report, "speed").status == "ok"


def test_an_interrupted_examination_closes_what_it_started() -> None:
    made.clear()

    async def work() -> None:
        chosen = targets(["p:m"], RunConfig.model_validate({}))
        task = asyncio.create_task(examine(chosen, registry(p=patient(hangs=True)), Settings()))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    on_virtual_time(work())
    assert made[0].closed
    assert made[0].running == 0
