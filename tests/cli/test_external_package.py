"""A package written outside the tree as our docs say, installed with pip, doing all three jobs in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from cli.shell import rows, tessy
from helpers import check_row, write_prompts
from plugin_packages import install, wheel

SOURCE = """
from tessy.hooks import Plugin, hookimpl


def load_backend():
    from tessy import Backend, Capabilities, Chunk, Session

    class TextSession(Session):
        async def generate(self, request):
            words = ["alpha", "beta", "gamma"] if request.turn.phase == "think" else ["fine."]
            if len(request.thinking.split()) >= 9 and request.turn.phase == "think":
                yield Chunk(finish="end_of_thinking")
                return
            for word in words:
                yield Chunk(" " + word, tokens=1, exact=False)
            yield Chunk(finish="end_of_turn" if request.turn.phase == "answer" else "length")

    class TextBackend(Backend):
        capabilities = Capabilities()

        def session(self, prompt, key):
            return TextSession()

    return TextBackend


def load_detector():
    from tessy import Label, StyleDetector

    class Betas(StyleDetector):
        async def label(self, windows):
            return [list(self.one(w)) for w in windows]

        def one(self, w):
            if len(w.text) > w.new_from:
                yield Label(w.new_from, len(w.text), "beta" in w.text[w.new_from:])

    return Betas


def load_policy():
    from tessy import Done, Needs, Options, SwitchPolicy, Turn

    class AlternatingOptions(Options):
        tokens: int = 20

    class Alternating(SwitchPolicy):
        Options = AlternatingOptions

        @property
        def needs(self):
            return Needs(labels=True)

        def next_turn(self, trajectory):
            if trajectory.phase == "answer":
                return Done() if trajectory.ended == "end_of_turn" else Turn("student", "answer")
            role = "student" if len(trajectory.turns) % 2 == 0 else "teacher"
            return Turn(role, max_tokens=self.options.tokens)

    return Alternating


@hookimpl
def tessy_backends():
    return [Plugin("text", "text without tokens", load_backend)]


@hookimpl
def tessy_style_detectors():
    return [Plugin("betas", "beta is style", load_detector)]


@hookimpl
def tessy_switch_policies():
    return [Plugin("alternating", "the models take turns", load_policy)]
"""


def test_found_listed_and_used_while_a_broken_one_disturbs_nothing(tmp_path: Path) -> None:
    site = tmp_path / "site"
    built = wheel(tmp_path, "tessy-outside", SOURCE, version="2.5", requires=["tessy-llm>=0.1"])
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
    ]
    subprocess.run([*pip, "--disable-pip-version-check", str(built)], check=True, timeout=120)
    install(site, "tessy-broken", "import no_such_module_anywhere")
    environ = {**os.environ, "PYTHONPATH": str(site)}

    listed = json.loads(tessy("plugins", "--json", env=environ).stdout)
    mine = {(e["kind"], e["name"], e["status"]) for e in listed if e["package"] == "tessy-outside"}
    assert mine == {("backend", "text", "ok"), ("detector", "betas", "ok"), ("policy", "alternating", "ok")}
    assert {e["version"] for e in listed if e["package"] == "tessy-outside"} == {"2.5"}
    (broken,) = (e for e in listed if e["package"] == "tessy-broken")
    assert broken["status"] == "broken"
    assert "no_such_module_anywhere" in broken["reason"]

    prompts = write_prompts(tmp_path / "p.jsonl", 3)
    tessy(
        "run", prompts, "-o", tmp_path / "run", "--backend", "text:any", "--detector", "betas",
        "--policy", "alternating?tokens=3", env=environ,
    )  # fmt: skip
    for row in rows(tmp_path / "run"):
        check_row(row)
        assert row["tessy"]["policy"] == "alternating?tokens=3"
        assert row["tessy"]["estimated"] is True
        assert [s["author"] for s in row["tessy"]["spans"]] == ["student", "teacher", "student", "student"]
        assert row["messages"][-1]["content"].count("alpha beta gamma") == 3
