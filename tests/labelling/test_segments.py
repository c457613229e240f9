from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tessy.errors import ConfigError, DataError
from tessy.labelling import Segment, read_segments, write_segments
from tessy.labelling.segments import Row, TextRow, read_rows

GOOD = '{"id": "a", "text": "Hmm, x", "spans": [[0, 4]], "family": "f", "domain": "other columns"}\n'


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    segments = [Segment("a", "Hmm, x", ((0, 4),), "f", "m", "teacher"), Segment("b", "漢\u2028 \U0001f600")]
    write_segments(tmp_path / "s.jsonl", segments)
    assert read_segments(tmp_path / "s.jsonl") == segments
    (tmp_path / "s.jsonl.gz").write_bytes(gzip.compress((tmp_path / "s.jsonl").read_bytes()))
    assert read_segments(tmp_path / "s.jsonl.gz") == segments


def test_unlabelled_segments_cannot_pass_for_segments_without_style(tmp_path: Path) -> None:
    write_segments(tmp_path / "s.jsonl", [Segment("a", "x")], labelled=False)
    with pytest.raises(DataError, match=r"s\.jsonl:1: 'spans': is missing"):
        read_segments(tmp_path / "s.jsonl")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rubbish", "not JSON"),
        ("[1]", "must be a JSON object"),
        ('{"id": "b", "spans": []}', "'text': is missing"),
        ('{"id": "b", "text": 3, "spans": []}', "'text': must be a valid string"),
        ('{"id": "b", "text": "\\ud800", "spans": []}', "not JSON"),
        ('{"id": "a", "text": "x", "spans": []}', r"id 'a' stands at .*s\.jsonl:1 already"),
        ('{"id": "b", "text": "x", "spans": [[0]]}', "'spans'"),
        ('{"id": "b", "text": "xyz", "spans": [[0, 4]]}', "does not lie in the text, which has 3"),
        ('{"id": "b", "text": "xyz", "spans": [[-1, 2]]}', "does not lie"),
        ('{"id": "b", "text": "xyz", "spans": [[1, 1]]}', "empty or turned around"),
        ('{"id": "b", "text": "xyz", "spans": [[0, 2], [1, 3]]}', "overlaps"),
        ('{"id": "b", "text": "xyz", "spans": [[2, 3], [0, 1]]}', "out of order"),
    ],
)
def test_a_bad_row_is_told_by_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "s.jsonl").write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(DataError, match=rf"s\.jsonl:3: .*{said}"):
        read_segments(tmp_path / "s.jsonl")


@pytest.mark.parametrize(
    ("name", "said"), [("none", "no such file"), (".", "is a folder"), ("empty.jsonl", "no rows")]
)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(ConfigError, match=said):
        read_segments(tmp_path / name)
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(GOOD.encode())[:-9])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_segments(tmp_path / "cut.jsonl.gz")


def test_rows_to_label_keep_their_ids_as_they_are(tmp_path: Path) -> None:
    rows = [{"id": 7, "text": "x", "spans": "anything", "family": [1]}, {"id": "7", "text": "", "author": 3}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row.id for _, row in read_rows(tmp_path / "r.jsonl", TextRow)] == [7, "7"]
    # Segments have strings for ids, and these would be one.
    (tmp_path / "s.jsonl").write_text('{"id": 7, "text": "x"}\n{"id": "7", "text": "y"}\n')
    with pytest.raises(DataError, match=r"s\.jsonl:2: id '7' stands at .*:1 already"):
        list(read_rows(tmp_path / "s.jsonl", Row))


@pytest.mark.parametrize("id", ["null", "true", "1.5", "[]", "100000000000000000000", "-9223372036854775809"])
def test_ids_are_strings_or_whole_numbers(tmp_path: Path, id: str) -> None:
    (tmp_path / "r.jsonl").write_text(f'{{"id": {id}, "text": "x"}}\n')
    with pytest.raises(DataError, match=r"r\.jsonl:1: 'id': must be a string, or a whole number"):
        list(read_rows(tmp_path / "r.jsonl", TextRow))
