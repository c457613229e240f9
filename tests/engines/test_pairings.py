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
from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.execution import Outcome, Plan, execute
from tessy.observer import Observer
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.rowwriter import Crew
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


async def write(folder: Path, kinds: dict[str, str], servers: dict[str, Server]) -> Outcome:
    policy = TessyPolicy(TessyOptions())
    crew = Crew(
        policy,
        Origin("policy", "tessy"),
        {role: make(kinds[role], role, servers) for role in ROLES},
        {role: Origin("backend", kinds[role]) for role in ROLES},
        Detection(LexiconDetector(LexiconOptions()), Origin("style detector", "lexicon")),
    )
    plan = Plan(str(PROMPTS), folder, crew, "tessy", {}, limit=16, concurrency=16)
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
