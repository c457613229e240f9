"""Whatever comes in from outside, only our own errors come out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessy.config import load
from tessy.errors import BackendError, ConfigError, DataError
from tessy.journal import codec
from tessy.remote.sse import EventBuffer
from tessy.rundata import RunData
from tessy.types import Label, Span

plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=6,
)
folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

FIELDS = (
    "prompts", "output", "backends", "teacher", "student", "policy", "policies", "detector", "samples",
    "limit", "concurrency", "seed", "max_length", "budget_tokens", "budget_cost", "budget_time", "prices",
    "resume",
)  # fmt: skip


@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([b"data:", b"data: {", b"\n", b"\r\n", b"[DONE]\n"]))
)
def test_any_bytes_as_server_sent_events(parts: list[bytes]) -> None:
    buffer = EventBuffer()
    try:
        for part in parts:
            buffer.feed(part)
    except BackendError:
        return
    assert buffer.error is None or isinstance(buffer.error, ValueError)


@folder
@given(
    st.binary(max_size=80)
    | st.text(alphabet=":-[]{}&*!|>'\"%@`#,?\n\t ab0~=<é", max_size=60).map(str.encode)
    | st.dictionaries(st.sampled_from(FIELDS) | plain, values, max_size=4).map(orjson.dumps)
)
def test_any_bytes_as_a_configuration(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(data)
    with suppress(ConfigError):  # ours may come, nothing else
        load(path)


@given(st.dictionaries(st.sampled_from(FIELDS) | plain, values, max_size=4))
def test_any_values_as_settings(given_: dict[str, Any]) -> None:
    with suppress(ConfigError):  # ours may come, nothing else
        load(given_)


rows = st.fixed_dictionaries(
    {},
    optional={
        "id": values,
        "messages": values | st.lists(st.fixed_dictionaries({"role": values, "content": values}), max_size=2),
        "tessy": values
        | st.fixed_dictionaries(
            {
                "spans": st.lists(
                    st.fixed_dictionaries({"start": values, "end": values, "author": values}), max_size=2
                )
            }
        ),
    },
)


@folder
@given(st.lists(st.binary(max_size=60) | rows.map(orjson.dumps) | values.map(orjson.dumps), max_size=4))
def test_any_bytes_as_rows(tmp_path: Path, lines: list[bytes]) -> None:
    (tmp_path / "data.jsonl").write_bytes(b"\n".join(lines))
    with suppress(ConfigError, DataError):  # ours may come, nothing else
        for row in RunData(tmp_path).rows():
            assert all(isinstance(row.text(span), str) for span in row.spans)
            assert isinstance(row.thinking + row.answer, str)


spans = st.builds(
    Span,
    author=plain,
    phase=st.sampled_from(["think", "answer"]),
    text=st.text(st.characters(exclude_categories=["Cs"])),
    turn=st.integers(0, 2**31),
    tokens=st.integers(0, 2**31),
    ids=st.none() | st.lists(st.integers(0, 2**32 - 1), min_size=1).map(tuple),
    covered=st.integers(0, 2**31),
    kind=st.sampled_from([None, "style", "capability"]),
    via=st.none() | plain,
    exact=st.booleans(),
    labels=st.lists(
        st.builds(Label, st.integers(0, 99), st.integers(0, 99), st.booleans(), st.floats(0, 1))
    ).map(tuple),
)


@given(spans)
def test_any_span_comes_back_from_the_journal_as_it_was(span: Span) -> None:
    columns = codec.span_to(span)
    codec.check(columns)
    assert codec.span_from(columns) == span
