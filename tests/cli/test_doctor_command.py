"""``tessy doctor`` as users run it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.shell import MODELS, PAIR, scripted, tessy
from plugin_packages import install

LOUD = """
from tessy.hooks import Plugin, hookimpl


def load():
    from tessy import Backend, Capabilities, Chunk, Session

    class LoudSession(Session):
        async def generate(self, request):
            yield Chunk("red \\x1b[31m:x: [bold]\\x9b2J", tokens=1, exact=False)
            yield Chunk(finish="end_of_turn")

    class Loud(Backend):
        capabilities = Capabilities()

        def session(self, prompt, key):
            return LoudSession()

        def facts(self):
            return {"bell": "\\x07", "path": __import__("pathlib").Path("x"), "rate limits": {"rpm": 60}}

    return Loud


@hookimpl
def tessy_backends():
    return [Plugin("loud", "", load)]
"""


def checks(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {found["check"]: found for found in report["checks"]}


def test_a_table_for_people() -> None:
    found = tessy("doctor", *scripted(), "scripted:alone")
    assert found.stderr.count("spends at most") == 3
    assert "scripted:t  (teacher)" in found.stdout
    assert "✓ control tokens          sent as plain text" in found.stdout
    assert "✓ tessy, teacher          " in found.stdout or "– tessy, teacher          " in found.stdout
    assert "✓ teacher-only, teacher   scripted:alone: ok" in found.stdout
    assert "\x1b" not in found.stdout + found.stderr


def test_json_has_everything_as_numbers() -> None:
    found = tessy("doctor", *scripted(delay=0.001), "--json", "--concurrency", 3)
    document = json.loads(found.stdout)
    assert document["usable"] is True
    teacher, student = document["backends"]
    assert (teacher["spec"], teacher["roles"], student["roles"]) == (
        "scripted:t?delay=0.001",
        ["teacher"],
        ["student"],
    )
    assert [one["check"] for one in teacher["checks"]] == [
        "start", "planted number", "middle of a word", "control tokens", "closing a stream", "speed",
        "speed at 3", "prefix cache",
    ]  # fmt: skip
    assert all(one["status"] in ("ok", "unsure", "bad") for one in teacher["checks"])
    assert 0 < teacher["spent"]["total"] <= teacher["bound"]["total"]
    together = checks(teacher)["speed at 3"]["figures"]
    assert together["streams"] == 3
    assert (
        0 < checks(teacher)["speed"]["figures"]["tokens_per_second"] < together["tokens_per_second"] <= 3000
    )
    assert isinstance(checks(teacher)["prefix cache"]["figures"]["ratio"], float)
    assert teacher["capabilities"]["continuation"] is True
    assert teacher["thinks"] is True
    policies = {one["policy"]: one for one in document["policies"]}
    assert {"tessy", "teacher-only", "student-only"} <= set(policies)
    assert [cast["ok"] for cast in policies["tessy"]["castings"]] == [True] * 4
    assert f"at most {teacher['bound']['total']:,} tokens" in found.stderr


def test_a_broken_spec_beside_a_good_one() -> None:
    specs = ["scripted:good", "scripted:bad?dely=1", "llamacpp:no.gguf", "scripted", "nobody:x"]
    found = tessy("doctor", *specs, "--json", code=2)
    document = json.loads(found.stdout)
    assert [one["usable"] for one in document["backends"]] == [True, False, False, False, False]
    said = [one["checks"][0]["summary"] for one in document["backends"]]
    assert "'delay'" in said[1]
    assert "no.gguf: no such file" in said[2]
    assert "needs a model" in said[3]
    assert "no backend 'nobody'" in said[4]
    assert checks(document["backends"][0])["speed"]["status"] == "ok"
    table = tessy("doctor", *specs, code=2).stdout
    assert "  ✗ start                   backend scripted: " in table
    assert "  ✓ speed " in table


def test_no_tokens() -> None:
    found = tessy("doctor", "scripted:x", "--max-tokens", 0, "--json")
    report = json.loads(found.stdout)["backends"][0]
    assert report["spent"]["total"] == report["bound"]["total"] == 0
    assert {one["status"] for one in report["checks"]} == {"ok", "skipped"}
    assert "scripted:x: spends no tokens" in found.stderr


def test_backends_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("prompts: none.jsonl\nbackends:\n  teacher: scripted:t\n  student: scripted:s\n")
    document = json.loads(
        tessy(
            "doctor", "scripted:t", "-c", path, "--student", "scripted:t", "--max-tokens", 0, "--json"
        ).stdout
    )
    assert [(one["spec"], one["roles"]) for one in document["backends"]] == [
        ("scripted:t", ["teacher", "student"])
    ]


def test_nothing_to_examine() -> None:
    assert "no backends are given" in tessy("doctor", code=2).stderr
    assert "max-tokens" in tessy("doctor", "scripted:x", "--max-tokens", "-1", code=2).stderr


def test_what_models_and_plugins_say_commands_no_terminal(tmp_path: Path) -> None:
    install(tmp_path, "tessy-loud", LOUD)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for flags in ([], ["--json"]):
        found = tessy("doctor", "loud:m", *flags, env=environ)
        assert not set(found.stdout) & {"\x1b", "\x9b", "\x07"}
        assert "red ␛[31m:x: [bold]�2J" in found.stdout
        assert "␇" in found.stdout
        assert "60" in found.stdout


@pytest.mark.engine
def test_the_miniature_pair() -> None:
    found = tessy("doctor", *PAIR, f"llamacpp:{MODELS / 'student.gguf'}?n_ctx=1024", "--json")
    document = json.loads(found.stdout)
    assert [one["roles"] for one in document["backends"]] == [["student"], ["teacher"]]
    for report in document["backends"]:
        assert report["capabilities"]["context"] == 1024
        assert report["template"]
        assert report["thinks"] is True
        assert 1000 < report["spent"]["total"] <= report["bound"]["total"]
        found_by = checks(report)
        # Tiny models that know sums and nothing else: they go on, but not with the code word.
        for probe in ("planted number", "middle of a word"):
            assert found_by[probe]["verdict"] in ("continues", "unsure")
            assert found_by[probe]["said"]
        assert found_by["control tokens"]["verdict"] == "plain text"
        assert found_by["closing a stream"]["figures"]["tokens_generated"] < 256
        assert found_by["closing a stream"]["figures"]["active_after"] == 0
        cache = found_by["prefix cache"]["figures"]
        assert cache["prompt_tokens"] > 400
        assert cache["cached_tokens"] == cache["prompt_tokens"] - 1
        assert cache["ratio"] > 2
        assert found_by["speed at 8"]["figures"]["tokens"] > found_by["speed"]["figures"]["tokens"] > 0
        assert found_by["speed at 8"]["figures"]["failed"] == 0
    assert all(cast["ok"] for one in document["policies"] for cast in one["castings"])
