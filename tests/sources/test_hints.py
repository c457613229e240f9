"""Files that are no JSON lines: what they are is said, and the command that is named turns them into some."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
from pathlib import Path

import pytest

from tessy.errors import DataError
from tessy.prompts import read_prompts

ROWS = [{"prompt": 'What is "1, 2"?\nSay.', "level": "ä"}, {"prompt": "Why?", "level": "2"}]
ARRAY = json.dumps(ROWS)
CSV = '\ufeffprompt,level\r\n"What is ""1, 2""?\nSay.",ä\r\nWhy?,2\r\n'


def said(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(read_prompts(str(path)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.json", ARRAY.encode(), "is a JSON array; prompts are JSONL"),
        ("a.json", json.dumps(ROWS, indent=2).encode(), "is a JSON array"),
        ("a.json", b"\xef\xbb\xbf\n" + ARRAY.encode(), "is a JSON array"),
        ("my prompts.jsonl", ARRAY.encode(), "is a JSON array"),
        ("a.json.gz", gzip.compress(ARRAY.encode(), mtime=0), "is a JSON array"),
        ("a.csv", CSV.encode(), "is CSV; prompts are JSONL"),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0), "is CSV"),
        ("a.tsv", b"prompt\tlevel\n" + b"\"What is \"\"1, 2\"\"?\nSay.\"\t\xc3\xa4\nWhy?\t2\n", "is TSV"),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS)).encode("utf-16"), "is UTF-16 text, UTF-8 is wanted"),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS)).encode("utf-16-le"), "is UTF-16 text"),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS)).encode("utf-16-be"), "is UTF-16 text"),
    ],
)  # fmt: skip
def test_the_command_that_is_named_makes_json_lines(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = said(path)
    assert f"{path}: {what}" in message
    before = set(tmp_path.iterdir())
    subprocess.run(["bash", "-c", message.split(": ", 2)[2]], check=True, timeout=60)
    assert path.read_bytes() == content
    (made,) = set(tmp_path.iterdir()) - before
    assert [row.columns for row in read_prompts(str(made))] == ROWS


def test_plain_text_becomes_a_prompt_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("What is 1 + 1?\n\nWhy?\n")
    subprocess.run(["bash", "-c", said(path).split(": ", 2)[2]], check=True, timeout=60)
    assert [row.columns for row in read_prompts(str(tmp_path / "a.jsonl"))] == [
        {"prompt": "What is 1 + 1?"},
        {"prompt": "Why?"},
    ]


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "a"}')
    (tmp_path / "a.csv").write_text(CSV)
    assert said(tmp_path / "a.csv").endswith(f"> {tmp_path / 'a-lines.jsonl'}")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ARRAY.encode())))
    with pytest.raises(DataError, match=r"^standard input: is a JSON array; .* < FILE > FILE\.jsonl$"):
        list(read_prompts("-"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            gzip.compress(b"{}", mtime=0),
            r"a\.jsonl: is compressed with gzip; its name must end in \.gz",
        ),
        ("a", b"PAR1\x15\x00", r"a: is Parquet; its name must end in \.parquet"),
        ("a.bin", b"\x80\x04\x95\x00abcdefgh", r"a\.bin: is binary; prompts are JSONL"),
        ("a.xlsx", b"PK\x03\x04", r"a\.xlsx: is a ZIP archive or a spreadsheet; prompts are JSONL"),
        ("a.jsonl", b"Hello\n", r"a\.jsonl:1: not JSON: [^:]* at column 1; prompts are JSONL"),
        (
            "a.json",
            b'{\n "prompt": "a"\n}',
            r"a\.json:1: .*, the object does not end on its line; prompts are",
        ),
        ("a.json", b'{"rows": [\n{"prompt": "a"}]}', r"a\.json:1: .* does not end on its line; prompts are"),
        ("a.jsonl", b'{"prompt": "\xe4"}', r"a\.jsonl:1: not JSON: its text is not UTF-8; prompts are"),
        ("a.jsonl", b'{"prompt": "a"}\nHello\n', r"a\.jsonl:2: not JSON: [^:]* at column 1$"),
        (
            "a.jsonl",
            b'{"prompt": "a"}\n{"prompt": \n',
            r"a\.jsonl:2: .*, the object does not end on its line$",
        ),
        ("a.jsonl", b'{"prompt": "a"}\n[1]', r"a\.jsonl:2: a row must be a JSON object, this is list"),
        ("a.jsonl", b"17\n", r"a\.jsonl:1: a row must be a JSON object, this is int"),
    ],
)
def test_what_else_a_file_may_be(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert re.search(message, said(tmp_path / name)), said(tmp_path / name)


def test_an_array_of_texts(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('["Why?", {"prompt": "How?"}]')
    subprocess.run(["bash", "-c", said(tmp_path / "a.json").split(": ", 2)[2]], check=True, timeout=60)
    assert [row.columns["prompt"] for row in read_prompts(str(tmp_path / "a.jsonl"))] == ["Why?", "How?"]
