"""Every backend with every other as teacher and student."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.conftest import (
    KEY,
    MODELS,
    PROMPTS,
    ROLES,
    Server,
    make_local_backend,
    make_openai_backend,
    make_server_backend,
)
from helpers import check_row, rows
from tessy.abc import Backend
from tessy.ahead import Ahead, Flight
from tessy.boundary import Origin
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.draft import Draft
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Outcome, Plan
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy_llamacpp.backend import LlamaCppBackend
from tessy_llamacpp.options import LlamaCppOptions

KINDS = ("llamacpp", "vllm", "openai")


def make(kind: str, role: str, servers: dict[str, Server]) -> Backend:
    match kind:
        case "llamacpp":
            return LlamaCppBackend(str(MODELS / f"{role}.gguf"), LlamaCppOptions(n_ctx=2048, parallel=16))
        case "vllm":
            return make_server_backend(servers[role])
        case "local":
            return make_local_backend(role)
        case _:
            return make_openai_backend(servers[role])


async def write(
    folder: Path, kinds: dict[str, str], servers: dict[str, Server], *, count: int = 16, at_once: int = 16
) -> Outcome:
    policy = TessyPolicy(TessyOptions())
    crew = Crew(
        policy,
        Origin("policy", "tessy"),
        {role: make(kinds[role], role, servers) for role in ROLES},
        {role: Origin("backend", kinds[role]) for role in ROLES},
        Detection(LexiconDetector(LexiconOptions()), Origin("style detector", "lexicon")),
    )
    plan = Plan(str(PROMPTS), folder, crew, "tessy", {}, limit=count, concurrency=at_once)
    return await execute(plan, Observer())


def check(folder: Path, outcome: Outcome) -> None:
    assert (outcome.done, outcome.failed) == (16, 0), (folder / "failures.jsonl").read_text()
    for row in rows(folder):
        check_row(row)
        spans = row["tessy"]["spans"]
        assert {s["author"] for s in spans} == set(ROLES)
        assert {s["author"] for s in spans if s["phase"] == "answer"} == {"student"}
        content = row["messages"][-1]["content"]
        assert "<|" not in content
        assert content.count("<think>") == content.count("</think>") == 1
    for path in folder.iterdir():
        assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("student", KINDS)
@pytest.mark.parametrize("teacher", KINDS)
async def test_all_rows_finish(
    teacher: str, student: str, servers: dict[str, Server], tmp_path: Path
) -> None:
    outcome = await write(tmp_path, {"teacher": teacher, "student": student}, servers)
    check(tmp_path, outcome)


async def test_two_engines_in_one_process(servers: dict[str, Server], tmp_path: Path) -> None:
    outcome = await write(tmp_path, {"teacher": "local", "student": "local"}, servers)
    check(tmp_path, outcome)


@pytest.mark.parametrize("kind", ["vllm", "openai"])
async def test_what_is_asked_ahead_changes_no_byte(
    kind: str, servers: dict[str, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One trajectory at a time: what else is in a batch changes what a real engine computes."""
    landed: list[bool] = []
    land = Ahead.land

    async def noted(self: Ahead, draft: Draft) -> Flight | None:
        flight = await land(self, draft)
        landed.append(flight is not None)
        return flight

    monkeypatch.setattr(Ahead, "land", noted)
    kinds = dict.fromkeys(ROLES, kind)
    assert (await write(tmp_path / "ahead", kinds, servers, count=6, at_once=1)).done == 6
    assert sum(landed) > 5, landed
    monkeypatch.setattr("tessy.ahead._able", lambda backends, origins: frozenset())
    landed.clear()
    assert (await write(tmp_path / "behind", kinds, servers, count=6, at_once=1)).done == 6
    assert not any(landed)
    assert (tmp_path / "ahead/data.jsonl").read_bytes() == (tmp_path / "behind/data.jsonl").read_bytes()
