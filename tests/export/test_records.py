"""Records of every format: reading back gives the rows that went in."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tessy.errors import ConfigError
from tessy.export import Settings, export
from tessy.export.settings import Mask
from tessy.rundata import Row, RunData

THOUGHT = ("<think>\n", "\n</think>\n\n")


def exported(run: RunData, folder: Path, **settings: Any) -> list[dict[str, Any]]:
    export([run], folder / "out", Settings(**settings))
    return lines(folder / "out" / "train.jsonl")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_messages_are_the_rows_own(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    records = exported(run, tmp_path)
    assert records == [{"id": row.id, "level": row.data["level"], "messages": row.messages} for row in rows]
    assert records[2]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_the_thinking_moves_to_a_field(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    records = exported(run, tmp_path, reasoning="field", reasoning_field="thinking")
    for record, row in zip(records, rows, strict=True):
        *prompt, last = record["messages"]
        assert prompt == row.messages[:-1]
        assert last == {"role": "assistant", "content": row.answer, "thinking": row.thinking}
        assert THOUGHT[0] + last["thinking"] + THOUGHT[1] + last["content"] == row.content


def test_sharegpt(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    records = exported(run, tmp_path, format="sharegpt")
    names = {"human": "user", "gpt": "assistant", "system": "system"}
    for record, row in zip(records, rows, strict=True):
        said = [{"role": names[m["from"]], "content": m["value"]} for m in record["conversations"]]
        assert said == row.messages
        assert "messages" not in record
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert info["tessy_train"]["columns"] == {"messages": "conversations"}
    assert info["tessy_train"]["file_name"] == "train.jsonl"


def test_prompt_and_completion_as_messages(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    for record, row in zip(exported(run, tmp_path, format="prompt-completion"), rows, strict=True):
        assert record["prompt"] + record["completion"] == row.messages
        assert record.keys() == {"id", "level", "prompt", "completion"}


@pytest.mark.parametrize(
    ("template", "opened", "end"),
    [
        ("qwen3", "<|im_start|>assistant\n", "<|im_end|>"),
        ("deepseek-r1", "<｜Assistant｜><think>\n", "<｜end▁of▁sentence｜>"),
        ("harmony", "<|start|>assistant", "<|return|>"),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_prompt_and_completion_as_text(
    run: RunData, rows: list[Row], tmp_path: Path, template: str, opened: str, end: str, masked: bool
) -> None:
    masks = (Mask("author", "student"),) if masked else ()
    records = exported(run, tmp_path, format="prompt-completion", template=template, masks=masks)
    for record, row in zip(records, rows, strict=True):
        assert record["prompt"].endswith(opened)
        assert record["completion"].endswith(row.answer + end)
        assert (record["prompt"] + record["completion"]).count(row.thinking) == 1
        if masked:
            text, ranges = record["completion"], record["loss_mask"]["completion"]
            edges = [0, *(edge for pair in ranges for edge in pair), len(text)]
            left = "".join(text[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2))
            assert left == "".join(row.text(s) for s in row.spans if s["author"] == "teacher")
        else:
            assert "loss_mask" not in record


def test_the_papers_fields(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    for record, row in zip(exported(run, tmp_path, format="tessy-paper"), rows, strict=True):
        tokens = row.tessy["tokens"]
        assert record == {
            "id": row.id,
            "level": row.data["level"],
            "content": row.content,
            "n_tokens_total": tokens["teacher"] + tokens["student"],
            "n_tokens_teacher": tokens["teacher"],
            "n_tokens_student": tokens["student"],
        }


@pytest.mark.parametrize("reasoning", ["inline", "field"])
@pytest.mark.parametrize("mask", ["author=student", "author=teacher", "kind=style", "kind=capability"])
def test_a_mask_covers_its_spans_and_the_marks(
    run: RunData, rows: list[Row], tmp_path: Path, reasoning: Any, mask: str
) -> None:
    chosen = Mask.parse(mask)
    for record, row in zip(exported(run, tmp_path, reasoning=reasoning, masks=(chosen,)), rows, strict=True):
        message, masks = record["messages"][-1], record["loss_mask"]
        assert masks.keys() == message.keys() - {"role"}
        learnt = {field: [message[field][a:b] for a, b in masks[field]] for field in masks}
        for ranges in masks.values():
            assert all(a < b for a, b in ranges)
            assert all(one[1] < two[0] for one, two in pairwise(ranges))
        marks = THOUGHT if reasoning == "inline" else ("", "")
        pieces = {"think": "", "answer": ""}
        for span in row.spans:
            if span.get(chosen.by) == chosen.value:
                pieces[span["phase"]] += row.text(span)
        whole = marks[0] + pieces["think"] + marks[1] + pieces["answer"]
        assert "".join(learnt.get("reasoning_content", [])) + "".join(learnt["content"]) == whole


def test_metadata_is_kept_if_wanted(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    records = exported(run, tmp_path, metadata=True)
    assert [record["tessy"] for record in records] == [row.tessy for row in rows]


@pytest.mark.parametrize("split", [0.0, 0.4])
def test_parquet_reads_back(run: RunData, rows: list[Row], tmp_path: Path, split: float) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    found = export([run], tmp_path / "out", Settings(format="parquet", split=split, metadata=True))
    read = [
        row
        for part in found.counts
        for row in parquet.read_table(tmp_path / f"out/{part}.parquet").to_pylist()
    ]
    assert found.rows == len(read) == len(rows)
    by_id = {row["id"]: row for row in read}
    for row in rows:
        assert by_id[row.id]["messages"] == row.messages
        assert by_id[row.id]["tessy"]["tokens"] == row.tessy["tokens"]
        assert len(by_id[row.id]["tessy"]["spans"]) == len(row.spans)


def test_columns_without_a_common_type_are_refused_for_parquet(run: RunData, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    data = [json.loads(line) for line in (run.folder / "data.jsonl").read_text().splitlines()]
    data[1]["level"] = "hard"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
    with pytest.raises(ConfigError, match="no common type"):
        export([RunData(tmp_path / "run")], tmp_path / "out.parquet", Settings())
    assert not (tmp_path / "out.parquet").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_hugging_face_data_set_loads(run: RunData, rows: list[Row], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    found = export([run], tmp_path / "out", Settings(format="hf", split=0.4))
    loaded = datasets.load_from_disk(str(tmp_path / "out"))
    assert {part: len(loaded[part]) for part in loaded} == found.counts
    assert sorted(row["id"] for part in loaded for row in loaded[part]) == sorted(row.id for row in rows)
    datasets.disable_caching()
    export([run], tmp_path / "lines", Settings(split=0.4))
    again = datasets.load_dataset(str(tmp_path / "lines"), cache_dir=str(tmp_path / "cache"))
    assert {part: list(again[part]["messages"]) for part in again} == {
        part: list(loaded[part]["messages"]) for part in loaded
    }


def test_a_template_that_drops_the_thinking_is_refused(run: RunData, tmp_path: Path) -> None:
    template = tmp_path / "dropping.jinja"
    template.write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: <think>\n{% endif %}"
    )
    with pytest.raises(ConfigError, match="does not show the thinking of a message with --reasoning inline"):
        export([run], tmp_path / "out", Settings(template=str(template)))
    assert not (tmp_path / "out").exists()
    records = exported(run, tmp_path, format="prompt-completion", template=str(template))
    assert all(record["completion"].endswith("<|im_end|>") for record in records)


def test_a_template_that_shows_it_in_one_form_only(run: RunData, tmp_path: Path) -> None:
    template = tmp_path / "field.jinja"
    template.write_text(
        "{% for m in messages %}{{ m.role }}: "
        "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    for reasoning in ("inline", "field"):
        settings = Settings(template=str(template), reasoning=reasoning)  # type: ignore[arg-type]
        export([run], tmp_path / reasoning, settings)
    with pytest.raises(ConfigError, match="does not show the thinking of a message with --reasoning field"):
        settings = Settings(template=str(template), reasoning="field", reasoning_field="thought")
        export([run], tmp_path / "other", settings)


def test_a_built_in_template_cannot_check_records(run: RunData, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name the student's folder"):
        export([run], tmp_path / "out", Settings(template="qwen3"))
