"""What does not fit into a model's context is said before a run, and by a dry run."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from cli.shell import MODELS, scripted, tessy

NARROW = (
    "the context of student is 256 tokens, less than --max-length 40,000: rows longer than 256 tokens, "
    "prompt included, will fail; raise n_ctx= or max_model_len= of the model, or lower --max-length"
)


def pair(teacher: int, student: int) -> list[str]:
    return [
        f"--teacher=llamacpp:{MODELS / 'teacher.gguf'}?n_ctx={teacher}",
        f"--student=llamacpp:{MODELS / 'student.gguf'}?n_ctx={student}",
    ]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": "word " * words}) + "\n" for words in (5, 200, 300)))
    return path


def test_a_dry_run_names_the_prompts_that_do_not_fit(tmp_path: Path, prompts: Path) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *pair(1024, 256), "--dry-run")
    said = tessy(*args).stdout
    assert "policy tessy: 2 of 3 prompts do not fit; 3 traces to write into" in said
    assert "  student: prompts that fill its context of 256 tokens: 2; their rows will fail\n" in said
    assert "  teacher: prompts that fill its context of 1,024 tokens: 1; their rows will fail\n" in said
    assert f"  {NARROW}\n" in said
    figures = json.loads(tessy(*args, "--json").stdout)
    assert (figures["prompts"], figures["warnings"]) == (3, [NARROW])
    assert figures["contexts"] == {
        "teacher": {"tokens": 1024, "too_long": 1},
        "student": {"tokens": 256, "too_long": 2},
    }


def test_a_context_for_the_longest_trace_is_not_spoken_of(tmp_path: Path, prompts: Path) -> None:
    args = ("run", prompts, "-o", tmp_path / "run", *pair(2048, 2048), "--dry-run")
    assert "everything fits; 3 traces" in tessy(*args, "--max-length", 2048).stdout
    assert "the prompts fit; 3 traces" in tessy(*args, "--max-length", 2049).stdout


def test_a_model_that_does_not_tell_its_context_is_passed_over(tmp_path: Path, prompts: Path) -> None:
    figures = json.loads(
        tessy("run", prompts, "-o", tmp_path / "run", *scripted(), "--dry-run", "--json").stdout
    )
    assert (figures["contexts"], figures["warnings"]) == ({}, [])
    assert figures["prompt_tokens"] == 505


@pytest.mark.parametrize("given", [(), ("--max-length", 30_000)])
def test_a_run_warns_once_if_a_length_was_asked_for(
    tmp_path: Path, prompts: Path, given: tuple[object, ...], caplog: pytest.LogCaptureFixture
) -> None:
    policies = ("--policy", "student-only", "--policy", "teacher-think", *given)
    with caplog.at_level(logging.WARNING):
        tessy("run", prompts, "-o", tmp_path / "run", *pair(1024, 256), *policies, "-n", 1, code=None)
    said = [r.message for r in caplog.records if r.name == "tessy.contexts"]
    assert said == ([NARROW.replace("40,000", "30,000")] if given else [])
