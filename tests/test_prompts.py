from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import ConfigError, DataError, TessyError
from tessy.prompts import read_prompts
from tessy.types import Message, Prompt


def read(tmp_path: Path, text: str | bytes, **options):
    path = tmp_path / "p.jsonl"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_prompts(str(path), **options))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi?"},
        {"prompt": [{"role": "user", "content": "Hi?"}]},
        {"messages": [{"role": "user", "content": "Hi?"}]},
        {"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "old"}]},
        {"conversations": [{"from": "human", "value": "Hi?"}]},
        {"dialogs": [{"role": "user", "content": "Hi?"}], "id_ddm": "d1"},
    ],
)
def test_every_known_shape(tmp_path: Path, row: dict) -> None:
    (found,) = read(tmp_path, json.dumps(row))
    assert found.prompt.messages == (Message("user", "Hi?"),)
    assert found.columns == row
    assert found.id == (row.get("id_ddm") or found.content.hex()[:16])


@pytest.mark.parametrize(
    "value", ["Hi?", [{"role": "user", "content": "Hi?"}], [{"from": "human", "value": "Hi?"}]]
)
def test_a_column_that_is_named(tmp_path: Path, value: object) -> None:
    row = {"question": value, "prompt": "Another?", "answer": "42"}
    (found,) = read(tmp_path, json.dumps(row), column="question")
    assert found.prompt.messages == (Message("user", "Hi?"),)
    assert found.columns == row
    (known,) = read(tmp_path, '{"prompt": "Hi?"}')
    assert found.id == known.id, "the content makes the row, not the column's name"


def test_texts_of_a_program_stand_in_the_named_column() -> None:
    given = ["Hi?", Prompt((Message("user", "Hi?"),)), {"question": "Hi?"}]
    rows = list(read_prompts(given, column="question"))
    assert {row.prompt.messages for row in rows} == {(Message("user", "Hi?"),)}
    assert [list(row.columns) for row in rows] == [["question"]] * 3


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        (
            {"question": "a", "answer": "b"},
            None,
            "is there; found: 'question', 'answer'; name one with --column",
        ),
        (
            {"prompt": "a"},
            "question",
            "no column 'question' is there; found: 'prompt'; name one with --column",
        ),
        ({"question": ""}, "question", "no prompt: 'question' is empty"),
        ({"question": " ", "prompt": "a"}, "question", "'question' is blank"),
        ({"question": 3}, "question", "'question' must be a string or a list of messages"),
        ({"prompt": None, "text": "a"}, None, "no prompt: 'prompt' is empty"),
        ({}, None, "the row is empty"),
        ({f"c{n}": "" for n in range(99)}, None, "'c19', …; name one"),
        ({"x" * 99: ""}, None, f"found: '{'x' * 40}'; name one"),
    ],
)
def test_a_row_without_a_prompt_says_what_it_has(
    tmp_path: Path, row: dict, column: str | None, message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path, json.dumps(row), column=column)


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_compressed(tmp_path: Path, suffix: str, pack) -> None:
    path = tmp_path / f"p.jsonl.{suffix}"
    path.write_bytes(pack(b'{"prompt": "Hi?"}\n'))
    assert len(list(read_prompts(str(path)))) == 1
    path.write_bytes(pack(b'{"prompt": "Hi?"}\n')[:-9])
    with pytest.raises(ConfigError, match="cannot be read"):
        list(read_prompts(str(path)))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"id": 7, "prompt": "Hi?"}')))
    assert [row.id for row in read_prompts("-")] == ["7"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": "a"}\n{"prompt": ', r"p\.jsonl:2: not JSON"),
        ('{"prompt": "\\ud800"}', r"p\.jsonl:1: not JSON.*lone surrogate"),
        (b'{"prompt": "\xff"}', r"p\.jsonl:1: not JSON"),
        ("7", r":1: a row must be a JSON object"),
        ("[1]", r"p\.jsonl: is a JSON array"),
        ('{"id": 1}', r":1: no prompt: none of 'messages'"),
        ('{"prompt": "  "}', "'prompt' is blank"),
        ('{"prompt": 3}', "must be a string or a list"),
        ('{"prompt": [3]}', "a message must be an object"),
        ('{"messages": [{"role": "user"}]}', "must have a 'role' and a text 'content'"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "no message for the model to answer"),
        ('{"prompt": "a", "x": NaN}', r":1: not JSON: .*JSON has neither NaN nor Infinity; write null"),
        ('{"prompt": "\u00e9", "x": -Infinity}', r":1: not JSON: .*JSON has neither NaN nor Infinity"),
        ('{"prompt": "a", "x": 1e999}', r":1: not JSON: .*infinity"),
        ('{"prompt": "a", "\\udc00": 1}', r":1: not JSON.*lone surrogate"),
        ('{"prompt": "a", "x": 1, "x": 2}', r":1: the key 'x' stands twice in one object"),
        ('{"prompt": "\\u003a", "x": {"y": 1, "y": [2]}}', r":1: the key 'y' stands twice"),
        ('{"prompt": "a", "x": ' + "[" * 300 + "]" * 300 + "}", r":1: cannot be written as JSON"),
        ('{"id": {}, "prompt": "a"}', "'id' must be"),
        ('{"id": "a", "prompt": "a"}\n{"id": "a", "prompt": "b"}', r":2: id 'a' stands at .*:1 already"),
    ],
)
def test_unusable_rows_are_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("123456789012345678901234", "x"),
        ("18446744073709551616", "x"),
        ("-9223372036854775809", "x"),
        ('{"ids": [1, {"no": 99999999999999999999}]}', "x.ids[1].no"),
    ],
)
def test_a_whole_number_that_would_be_rounded_is_refused(tmp_path: Path, value: str, column: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"p.jsonl:2: column {column!r} holds ")):
        read(tmp_path, f'{{"prompt": "a"}}\n{{"prompt": "b", "x": {value}}}')


def test_a_whole_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    message = "column 'x' holds 9{39}…, a whole number beyond 64 bits|number is infinity"
    for digits in (100, 5000):
        with pytest.raises(DataError, match=message):
            read(tmp_path, f'{{"prompt": "a", "x": {"9" * digits}}}')


@pytest.mark.parametrize(
    "text",
    [
        '{"prompt": "a", "x": 18446744073709551615, "y": -9223372036854775808}',
        '{"prompt": "12345678901234567890123456789", "x": 0.10000000000000001, "y": 1e30}',
        '{"prompt": "a: b", "x\\u003ay": "\\u003A::", "z": {"x": {"x": 1}}}',
        '{"prompt": "\\ud83d\\ude00 \\u0000", "x": ["123456789012345678901234"]}',
    ],
)
def test_what_only_looks_odd_comes_through(tmp_path: Path, text: str) -> None:
    (found,) = read(tmp_path, text)
    assert found.columns == json.loads(text)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": float("nan")}, "column 'x' is nan, which JSON has no number for"),
        ({"n": None, "x": [{"y": float("-inf")}]}, "column 'x[0].y' is -inf"),
        ({"x": 1 << 64}, "column 'x' holds 18446744073709551616, a whole number beyond 64 bits"),
        ({"x": 10**5000}, "column 'x' holds a number of many digits"),
        ({"x": "\ud800"}, "column 'x' has a lone surrogate, which is not text: '\\ud800'"),
        ({"\ud800": 1}, "has a lone surrogate"),
        ({"x": b"y"}, "column 'x': Type is not JSON serializable: bytes"),
        ({1: 2}, "Dict key must be str"),
    ],
    ids=range(8),
)
def test_values_of_a_program_that_json_cannot_hold(columns: dict, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as raised:
        list(read_prompts([{"prompt": "a"}, {"prompt": "b", **columns}]))
    assert str(raised.value).startswith("prompt 2: ")


def test_values_of_a_program_that_hold_themselves() -> None:
    endless: list = []
    endless.append(endless)
    with pytest.raises(DataError, match="prompt 1: "):
        list(read_prompts([{"prompt": "a", "x": endless}]))


def test_a_parquet_column_with_what_is_no_number(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"prompt": "a", "x": 1.0}, {"prompt": "b", "x": float("nan")}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"p\.parquet: row 2: column 'x' is nan"):
        list(read_prompts(str(tmp_path / "p.parquet")))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        list(read_prompts(str(tmp_path / "no.jsonl")))
    with pytest.raises(ConfigError, match="holds nothing to read"):
        list(read_prompts(str(tmp_path)))


def test_a_limit_stops_before_a_bad_line(tmp_path: Path) -> None:
    assert len(read(tmp_path, '{"prompt": "a"}\nrubbish', limit=1)) == 1
    assert read(tmp_path, '{"prompt": "a"}', limit=0) == []


def test_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    assert len(read(tmp_path, b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n{"prompt": "b"}\r\n')) == 2


@given(st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.booleans() | st.text() | st.integers(), lambda c: st.lists(c) | st.dictionaries(st.sampled_from(["prompt", "messages", "role", "content", "id"]), c)).map(lambda v: json.dumps(v).encode())))  # fmt: skip # noqa: E501
def test_rubbish_gives_our_errors_only(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    try:
        read(tmp_path_factory.mktemp("p"), text)
    except TessyError:
        pass
