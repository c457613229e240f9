"""Filters, duplicates, splits; what is refused; what is left when something goes wrong."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from cli.shell import tessy
from tessy.errors import ConfigError, DataError
from tessy.export import Settings, export
from tessy.export.settings import Mask, Threshold
from tessy.rundata import Row, RunData
from tessy.scoring.published import FORMAT


def ids(folder: Path, part: str = "train") -> list[str]:
    path = folder / f"{part}.jsonl"
    return [json.loads(line)["id"] for line in path.read_text().splitlines()] if path.exists() else []


def test_filters_and_what_they_drop(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    lengths = sorted(sum(row.tessy["tokens"].values()) for row in rows)
    low, high = lengths[2], lengths[-3]
    found = export([run], tmp_path / "out", Settings(min_length=low, max_length=high))
    kept = [row.id for row in rows if low <= sum(row.tessy["tokens"].values()) <= high]
    assert ids(tmp_path / "out") == kept
    assert found.dropped["too short"] + found.dropped["too long"] == len(rows) - len(kept) > 0
    switches = sorted(row.tessy["switches"] for row in rows)[5]
    export([run], tmp_path / "few", Settings(max_switches=switches))
    assert ids(tmp_path / "few") == [row.id for row in rows if row.tessy["switches"] <= switches]
    export([run], tmp_path / "many", Settings(min_switches=switches + 1))
    assert set(ids(tmp_path / "many")) | set(ids(tmp_path / "few")) == {row.id for row in rows}
    export([run], tmp_path / "ended", Settings(finish=("end_of_turn",)))
    assert ids(tmp_path / "ended") == [row.id for row in rows]
    with pytest.raises(ConfigError, match=r"no row is left after the filters: finish: end_of_turn \(12\)"):
        export([run], tmp_path / "none", Settings(finish=("length",)))


def test_scores_bound_rows(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "data.jsonl").write_bytes((run.folder / "data.jsonl").read_bytes())
    scored = RunData(folder)
    with pytest.raises(ConfigError, match="was not scored"):
        export([scored], tmp_path / "out", Settings(scores=(Threshold.parse("nll<=2"),)))
    lines = [
        {"scores": FORMAT},
        *({"id": row.id, "scores": {"nll": n / 4}} for n, row in enumerate(rows[:-1])),
    ]
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = export([scored], tmp_path / "out", Settings(scores=(Threshold.parse(" nll <= 1.5"),)))
    assert ids(tmp_path / "out") == [row.id for row in rows[:7]]
    assert found.dropped == {"score nll": 4, "no score nll": 1}
    assert found.scores["nll"] == (7, 21 / 4)
    assert "score nll, mean of 7 | 0.75" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("text", ["nll", "nll=3", "nll<=x", "<=3", "nll<=1.2.3", ""])
def test_a_bound_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write NAME<=NUMBER"):
        Threshold.parse(text)


@pytest.mark.parametrize("text", ["author=me", "kind=teacher", "student", "author=", "via=x"])
def test_a_mask_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write author=teacher"):
        Mask.parse(text)


def test_duplicates(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    export([run], tmp_path / "prompt", Settings(dedup="prompt"))
    # Rows 9 and 10 ask what rows 0 and 1 do; row 11 asks it without row 2's system message.
    assert ids(tmp_path / "prompt") == [f"q{n}" for n in range(9)] + ["q11"]
    data = [row.data for row in rows]
    louder = json.loads(json.dumps(data[0]))
    louder["id"] = "louder"
    louder["messages"][0]["content"] = "  WHAT is 0\n times 7? "
    folder = tmp_path / "run"
    folder.mkdir()
    lines = [*data, {**data[3], "id": "again"}, louder]
    (folder / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = export([RunData(folder)], tmp_path / "exact", Settings(dedup="exact"))
    assert ids(tmp_path / "exact") == [*(row.id for row in rows), "louder"]
    assert found.dropped == {"duplicate": 1}
    export([RunData(folder)], tmp_path / "text", Settings(dedup="text"))
    assert ids(tmp_path / "text") == [row.id for row in rows]


def test_a_split_keeps_prompts_together_and_does_not_depend_on_the_order(
    run: RunData, rows: list[Row], tmp_path: Path
) -> None:
    found = export([run], tmp_path / "out", Settings(split=0.4))
    assert set(found.counts) == {"train", "validation"}
    assert set(ids(tmp_path / "out")) | set(ids(tmp_path / "out", "validation")) == {row.id for row in rows}
    for twin in (("q0", "q9"), ("q1", "q10")):
        assert len({part for part in found.counts if set(twin) & set(ids(tmp_path / "out", part))}) == 1
    folder = tmp_path / "run"
    folder.mkdir()
    lines = (run.folder / "data.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "data.jsonl").write_bytes(b"".join(reversed(lines[:8])))
    export([RunData(folder)], tmp_path / "turned", Settings(split=0.4))
    for part in found.counts:
        assert set(ids(tmp_path / "turned", part)) <= set(ids(tmp_path / "out", part))


def test_the_same_rows_and_settings_give_the_same_bytes(run: RunData, tmp_path: Path) -> None:
    settings = Settings(split=0.3, dedup="exact", masks=(Mask("author", "student"),), reasoning="field")
    for name in ("one", "two"):
        export([run], tmp_path / name, settings)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_several_runs_say_which(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "data.jsonl").write_bytes((run.folder / "data.jsonl").read_bytes())
    found = export([run, RunData(other)], tmp_path / "out", Settings())
    assert found.rows == 2 * len(rows)
    records = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    assert [record["run"] for record in records] == ["run"] * len(rows) + ["other"] * len(rows)


@pytest.mark.parametrize(
    ("target", "settings", "said"),
    [
        ("x.jsonl", {"split": 0.1}, "is one file; --split writes two"),
        ("x.jsonl", {"format": "hf"}, "--format hf writes a folder"),
        ("x.jsonl", {"format": "parquet"}, "name FILE.parquet or a folder"),
        ("x.csv", {}, r"no format writes a \.csv file; -o names a folder, FILE\.jsonl or FILE\.parquet"),
        ("x.json", {"format": "sharegpt"}, r"no format writes a \.json file; .*messages, sharegpt, "),
        ("x.jsonl.gz", {}, r"no format writes a \.gz file"),
        ("x.JSONL", {}, r"no format writes a \.JSONL file; .* FILE\.jsonl"),
    ],
)
def test_targets_that_do_not_fit(
    run: RunData, tmp_path: Path, target: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        export([run], tmp_path / target, Settings(**settings))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["sft-v1.5", "Qwen3-1.7B", "a.b"])
def test_a_folder_may_have_a_dot_in_its_name(run: RunData, tmp_path: Path, name: str) -> None:
    export([run], tmp_path / name, Settings())
    assert (tmp_path / name / "train.jsonl").is_file()


@pytest.mark.parametrize(
    "settings",
    [
        {"format": "csv"},
        {"split": 1.0},
        {"split": -0.1},
        {"min_length": 5, "max_length": 4},
        {"min_switches": 5, "max_switches": 4},
        {"format": "tessy-paper", "reasoning": "field"},
        {"format": "tessy-paper", "masks": (Mask("author", "student"),)},
        {"format": "prompt-completion", "template": "qwen3", "reasoning": "field"},
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--"):
        Settings(**settings)


def test_a_target_that_exists_stays_unless_it_is_to_be_replaced(run: RunData, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(ConfigError, match="exists; choose another -o"):
        export([run], tmp_path / "out", Settings())
    assert (tmp_path / "out" / "mine").read_text() == "x"
    export([run], tmp_path / "out", Settings(overwrite=True))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "dataset_info.json",
        "train.jsonl",
    ]


def test_a_row_edited_by_hand_is_named_and_nothing_is_left(run: RunData, tmp_path: Path) -> None:
    lines = (run.folder / "data.jsonl").read_bytes().splitlines(keepends=True)
    row = json.loads(lines[3])
    row["messages"][-1]["content"] += " And more."
    lines[3] = json.dumps(row).encode() + b"\n"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(DataError, match=r"data\.jsonl:4: row 'q3': spans and text do not add up"):
        export([RunData(tmp_path / "run")], tmp_path / "out", Settings())
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_without_a_finished_row_says_so(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data.jsonl").touch()
    found = tessy("export", tmp_path / "run", "-o", tmp_path / "out", code=2)
    assert "no finished row yet; there is nothing to export" in found.stderr
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing_half_written(run: RunData, tmp_path: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    found = tessy("export", run.folder, "-o", tmp_path / "out", code=2, preexec_fn=little_room)
    assert "cannot be written" in found.stderr
    assert "Traceback" not in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_goes_on_is_exported_as_far_as_it_is(run: RunData, tmp_path: Path) -> None:
    from tessy.directory import RunDirectory

    with RunDirectory(run.folder):
        found = tessy("export", run.folder, "-o", tmp_path / "out", env=dict(os.environ))
    assert "is still being written; what has ended by now is read" in found.stderr
    assert len(ids(tmp_path / "out")) == 12


def test_the_card_says_what_is_true_and_nothing_of_this_machine(run: RunData, tmp_path: Path) -> None:
    found = export([run], tmp_path / "out", Settings(split=0.4, dedup="prompt"))
    card = (tmp_path / "out" / "README.md").read_text()
    for part, count in found.counts.items():
        assert f"| records, {part} | {count} |" in card
        assert f"path: {part}.jsonl" in card
    teacher, kept = found.tokens["teacher"], sum(found.tokens.values())
    assert f"| tokens by the teacher | {teacher:,} ({teacher / kept:.1%}) |" in card
    assert "| rows left out | duplicate (2) |" in card
    assert "`scripted:t`" in card
    assert "license" not in card
    assert str(run.folder) not in card
    assert str(tmp_path) not in card


def test_the_command_prints_figures(run: RunData, tmp_path: Path) -> None:
    found = tessy(
        "export", run.folder, "-o", tmp_path / "out", "--json", "--format", "sharegpt",
        "--dedup", "prompt", "--split", "0.4", "--loss-mask", "author=student", "--loss-mask", "kind=style",
        "--reasoning", "field",
    )  # fmt: skip
    figures = json.loads(found.stdout)
    assert sum(figures["records"].values()) == 10
    assert figures["dropped"] == {"duplicate": 2}
    record = json.loads((tmp_path / "out" / "train.jsonl").read_text().splitlines()[0])
    assert record["loss_mask"].keys() == {"content", "reasoning_content"}
