"""``tessy detector``: what needs no training."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from annotator_package import install_annotator
from cli.shell import scripted, tessy

TEXT = "Okay, let me see. 12 + 7 = 19, so x is 19. Hmm, wait. Let me check if 19 - 7 = 12."


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    site = tmp_path / "site"
    install_annotator(site)
    return {**os.environ, "PYTHONPATH": str(site)}


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
