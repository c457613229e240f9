"""``tessy detector``: what needs no training."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from annotator_package import install_annotator
from cli.shell import begin, scripted, tessy
from plugin_packages import install
from tessy.detectors.boundary.weights import DEFAULT
from tessy.directory import RunDirectory
from tessy.labelling.segments import check_spans

TEXT = "Okay, let me see. 12 + 7 = 19, so x is 19. Hmm, wait. Let me check if 19 - 7 = 12."


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)  # another process does it; there is nothing of it to wait for


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    site = tmp_path / "site"
    install_annotator(site)
    return with_path(site)


def with_path(site: Path) -> dict[str, str]:
    """The environment, with a folder of packages before all others."""
    return {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}


@pytest.mark.parametrize("detector", ["boundary", "lexicon", None])
def test_label_prints_spans_row_by_row(tmp_path: Path, detector: str | None) -> None:
    texts = [TEXT, "", "   \n", "```py\nx = 1\n```", "我们看看。", "e\u0301 \\frac{1}{2} 3.14"]
    data = write(tmp_path / "rows.jsonl", *({"id": f"r{i}", "text": t} for i, t in enumerate(texts)))
    flags = ["--detector", detector] if detector else []
    found = tessy("detector", "label", "--data", data, "--json", *flags, "--author", "teacher")
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert [row["id"] for row in rows] == [f"r{i}" for i in range(len(texts))]
    for row, text in zip(rows, texts, strict=True):
        end = 0
        for a, b in row["spans"]:
            assert end <= a < b <= len(text)
            assert text[a:b] == text[a:b].strip()
            assert a == 0 or text[a - 1].isspace() or not text[a - 1].isascii()
            end = b
    assert next(TEXT[a:b] for a, b in rows[0]["spans"]).startswith("Okay, let me see")
    assert rows[1]["spans"] == rows[2]["spans"] == rows[3]["spans"] == []


def test_label_is_quick_and_takes_any_text(tmp_path: Path) -> None:
    hostile = [
        "So x" + "等" * 30_000,
        "x" * 200_000,
        " " * 200_000,
        "e" + "\u0301" * 100_000,
        "\x00 so \x1b[0m",
    ]
    hostile += [part * 20_000 for part in ("` so ", "$x ", '"so ', "```\nwait\n", "👩\u200d👧", "10\u00a0")]
    texts = [TEXT * 4] * 2000 + hostile
    data = write(tmp_path / "rows.jsonl", *({"id": i, "text": text} for i, text in enumerate(texts)))
    began = time.monotonic()
    found = tessy("detector", "label", "--data", data, "--json")
    assert time.monotonic() - began < 400, "some seconds on a machine that does nothing else"
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert [row["id"] for row in rows] == list(range(len(texts)))
    assert all(row == {"id": row["id"], "spans": rows[0]["spans"]} for row in rows[:2000])
    for text, row in zip(texts, rows, strict=True):
        check_spans(text, row["spans"])


@pytest.mark.parametrize(
    "line", ['{"id": "c"}', '{"text": "x"}', '{"id": 1e99, "text": "x"}', '{"id": "a", "text": null}']
)
def test_nothing_is_printed_of_rows_of_which_one_is_bad(tmp_path: Path, line: str) -> None:
    (tmp_path / "rows.jsonl").write_text(f'{{"id": "a", "text": "So"}}\n\n{line}\n')
    found = tessy("detector", "label", "--data", tmp_path / "rows.jsonl", "--json", code=2)
    assert found.stdout == ""
    assert "rows.jsonl:3: " in found.stderr


def test_label_of_an_argument_and_of_standard_input(tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", {"id": 7, "text": "So x = 1"}, {"id": "7", "text": ""})
    with rows.open() as file:
        found = tessy("detector", "label", "--data", "-", "--json", stdin=file)
    assert [json.loads(line)["id"] for line in found.stdout.splitlines()] == [7, "7"]
    assert json.loads(tessy("detector", "label", "So x = 1", "--json").stdout)["spans"] == [[0, 2]]
    assert (
        "is not UTF-8"
        in tessy("detector", "label", b"So \xff".decode(errors="surrogateescape"), code=2).stderr
    )
    for flags in ([], ["So", "--data", rows]):
        assert "either a text or a file" in tessy("detector", "label", *flags, code=2).stderr


def test_a_detector_that_fails_on_a_text_is_named(tmp_path: Path) -> None:
    install(tmp_path / "site", "tessy-broken", BROKEN)
    environ = with_path(tmp_path / "site")
    data = write(tmp_path / "rows.jsonl", *({"id": i, "text": "So"} for i in range(3)))
    found = tessy("detector", "label", "--data", data, "--detector", "broken", env=environ, code=2)
    assert "'broken' (package tessy-broken) failed in label: ZeroDivisionError" in found.stderr
    assert "Traceback" not in found.stderr
    found = tessy("detector", "label", "So", "--detector", "broken?ahead=9999", env=environ, code=2)
    assert "'broken' (package tessy-broken) declares a lookahead of 9999" in found.stderr


BROKEN = """
from tessy.hooks import Plugin, hookimpl

def load():
    from pydantic import Field
    from tessy import Options, StyleDetector

    class BrokenOptions(Options):
        ahead: int = Field(0, description="characters")

    class Broken(StyleDetector):
        Options = BrokenOptions

        async def start(self):
            self.lookahead = self.options.ahead

        async def label(self, windows):
            return 1 / 0

    return Broken

@hookimpl
def tessy_style_detectors():
    return [Plugin("broken", "fails", load)]
"""


def test_label_for_people(tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", {"id": "one", "text": TEXT})
    assert "12 + 7 = 19" in tessy("detector", "label", "--data", data).stdout


def test_eval_side_by_side(tmp_path: Path) -> None:
    spans = [[0, 17], [TEXT.index("Hmm"), TEXT.index("if 19") + 2]]
    data = write(
        tmp_path / "gold.jsonl",
        *({"id": str(i), "text": TEXT, "spans": spans, "family": "qwen3"} for i in range(8)),
    )
    two = ["--detector", "boundary", "--detector", "lexicon"]
    document = json.loads(tessy("detector", "eval", "--data", data, *two, "--json").stdout)
    shown = json.dumps(document)
    assert "boundary" in shown
    assert "lexicon" in shown
    assert "qwen3" in shown
    assert "qwen3 (8)" in tessy("detector", "eval", "--data", data, *two).stdout


def test_sample_annotate_and_go_on(tmp_path: Path, environ: dict[str, str]) -> None:
    prompts = write(tmp_path / "prompts.jsonl", *({"prompt": f"What is {i} + 1?"} for i in range(4)))
    out = tmp_path / "sampled"
    sample = ["detector", "sample", prompts, "-o", out, "--words", 20, *scripted()]
    tessy(*sample)
    segments = [json.loads(line) for line in (out / "segments.jsonl").read_text().splitlines()]
    assert len({row["id"] for row in segments}) == len(segments) > 4
    assert {row["author"] for row in segments} == {"teacher", "student"}
    before = (out / "segments.jsonl").read_bytes()
    tessy(*sample)
    assert (out / "segments.jsonl").read_bytes() == before

    annotate = ["detector", "annotate", out / "segments.jsonl", "-o", tmp_path / "l.jsonl", "--json"]
    first = json.loads(tessy(*annotate, "-n", 2, "--annotator", "rules:fenced", env=environ).stdout)
    assert (first["segments"], first["kept"], first["keep_rate"]) == (2, 2, 1.0)
    whole = json.loads(tessy(*annotate, "--annotator", "rules:fenced", env=environ).stdout)
    assert whole["kept"] == len(segments)
    before = (tmp_path / "l.jsonl").read_bytes()
    fewer = json.loads(tessy(*annotate, "-n", 1, "--annotator", "rules:fenced", env=environ).stdout)
    assert (fewer["segments"], fewer["kept"]) == (len(segments), len(segments))
    assert (tmp_path / "l.jsonl").read_bytes() == before
    labelled = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert [row["id"] for row in labelled] == [row["id"] for row in segments]
    tessy("detector", "eval", "--data", tmp_path / "l.jsonl", "--detector", "lexicon")


def test_killed_at_any_moment_annotate_goes_on(tmp_path: Path, environ: dict[str, str]) -> None:
    data = write(tmp_path / "segments.jsonl", *({"id": str(i), "text": f"So {i}. {TEXT}"} for i in range(40)))
    path = tmp_path / "l.jsonl"
    run = ["detector", "annotate", data, "-o", path, "--concurrency", 2, "--json", "--annotator"]
    for _ in range(3):
        lines = path.read_bytes().count(b"\n") if path.exists() else 0
        with begin(*run, "rules:stuck", env=environ) as process:
            wait_for(lambda lines=lines: path.exists() and path.read_bytes().count(b"\n") > lines)
            busy = tessy(*run, "rules:rules", env=environ, code=2)
            assert "another tessy process annotates into it; wait for it, or choose another -o" in busy.stderr
            process.kill()
            process.communicate()
        assert lines < path.read_bytes().count(b"\n") < 40
    found = json.loads(tessy(*run, "rules:rules", env=environ).stdout)
    assert (found["segments"], found["kept"]) == (40, 40)
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == [str(i) for i in range(40)]
    assert [file.name for file in tmp_path.glob("*l.jsonl*")] == ["l.jsonl"]
    itself = tessy("detector", "annotate", data, "-o", data, *run[5:], "rules:rules", env=environ, code=2)
    assert "holds the segments themselves" in itself.stderr


def test_one_sample_at_a_time_in_a_folder(tmp_path: Path) -> None:
    prompts = write(tmp_path / "prompts.jsonl", {"prompt": "What is 1 + 1?"})
    sample = ["detector", "sample", prompts, "-o", tmp_path / "s", *scripted()]
    with RunDirectory(tmp_path / "s") as directory:
        directory.keep()
        assert "another tessy process is running here" in tessy(*sample, code=2).stderr
    tessy(*sample)
    assert (tmp_path / "s" / "segments.jsonl").read_bytes()
    # What is refused before anything is written leaves no trace.
    tessy("detector", "sample", prompts, "-o", tmp_path / "t", "--teacher", "llamacpp:none.gguf", code=2)
    assert not (tmp_path / "t").exists()


def test_a_moved_detector_goes_on_with_its_run(tmp_path: Path) -> None:
    shutil.copytree(DEFAULT, tmp_path / "mine")
    prompts = write(tmp_path / "prompts.jsonl", *({"prompt": f"What is {i} + 1?"} for i in range(3)))
    run = ["run", prompts, "-o", tmp_path / "run", *scripted(), "--detector"]
    tessy(*run, f"boundary:{tmp_path / 'mine'}", "-n", 1)
    (tmp_path / "mine").rename(tmp_path / "moved")
    tessy(*run, f"boundary:{tmp_path / 'moved'}")
    document = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())
    assert str(tmp_path) not in json.dumps(document["identity"]["detector"])
    assert (tmp_path / "run" / "data.jsonl").read_bytes().count(b"\n") == 3


@pytest.mark.parametrize(("way", "reason"), [("wrong", "not_verbatim"), ("broken", "cut_off")])
def test_what_the_annotator_gets_wrong_is_dropped_with_its_reason(
    tmp_path: Path, environ: dict[str, str], way: str, reason: str
) -> None:
    data = write(tmp_path / "segments.jsonl", {"id": "a", "text": TEXT})
    run = ["detector", "annotate", data, "--annotator", f"rules:{way}", "--json"]
    found = json.loads(tessy(*run, env=environ).stdout)
    assert (found["kept"], found["dropped"]) == (0, {reason: 1})
    if way == "wrong":
        found = json.loads(tessy(*run, "--lenient", "--again", env=environ).stdout)
        assert (found["kept"], found["spans_left_out"]) == (1, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "rows"),
        ('{"id": "a", "text": "x"}\nnot json\n', ":2:"),
        ('{"id": "a"}\n', "text"),
        ('{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', ":2:"),
    ],
)
def test_bad_rows_are_told_by_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    found = tessy("detector", "label", "--data", path, "--json", code=2)
    assert said in found.stderr
    assert found.stderr.count("\n") <= 2


def test_spans_out_of_range_and_missing_files(tmp_path: Path) -> None:
    data = write(tmp_path / "gold.jsonl", {"id": "a", "text": "short", "spans": [[0, 99]]})
    assert ":1:" in tessy("detector", "eval", "--data", data, code=2).stderr
    assert "nowhere" in tessy("detector", "eval", "--data", tmp_path / "nowhere", code=2).stderr
    found = tessy("detector", "label", "--data", data, "--detector", "boundry", code=2)
    assert "did you mean 'boundary'" in found.stderr
    found = tessy("detector", "label", "--data", data, "--detector", f"boundary:{tmp_path}", code=2)
    assert str(tmp_path) in found.stderr
