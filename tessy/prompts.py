"""Makes prompts of a source's rows (`tessy.sources`).

A row needs ``messages`` (``role``, ``content``), or ``prompt`` (a string, or such messages), or
``conversations`` (``from``, ``value``), or the paper's ``dialogs``; or the source's ``column`` is named. Its
other columns are kept. A row without ``id`` gets one from its content; equal prompts without an id stay
different rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

import orjson

from tessy.errors import ConfigError, DataError
from tessy.sources import read_rows
from tessy.sources.exact import check_written
from tessy.types import Json, Message, Prompt

__all__ = ["PromptRow", "read_prompts"]

_FIELDS = ("messages", "prompt", "conversations", "dialogs")
_MOST_NAMES, _LONGEST_NAME = 20, 40
"""Of a row's columns, for a message."""
_SHAREGPT = {
    "human": "user",
    "gpt": "assistant",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt with the columns it came with; ``where`` is for messages ("prompts.jsonl:7")."""

    id: str
    prompt: Prompt
    columns: Mapping[str, Json]
    content: bytes
    where: str


def read_prompts(
    source: str | Iterable[Any], *, column: str | None = None, limit: int | None = None
) -> Iterator[PromptRow]:
    """The rows of a source, in order, at most ``limit``.

    ``source`` names a file, a data set or standard input, or is the rows: each a mapping as a file has
    them, a `Prompt`, or the text of one. ``column`` is where each row has its prompt, a text or messages;
    without it, the first that is there of those that are known.

    Raises:
        ConfigError: there is no such file, or nothing in it, or a package to read it is missing.
        DataError: a row is unusable; names file and line.
    """
    ids: dict[str, str] = {}
    repeats: dict[bytes, int] = {}
    count = 0
    for where, data in islice(read_rows(source, column), limit):
        row = _row(where, data, column, repeats)
        if row.id in ids:
            raise DataError(f"{where}: id {row.id!r} stands at {ids[row.id]} already; ids must differ")
        ids[row.id] = where
        count += 1
        yield row
    if count == 0 and limit != 0:
        name = source if isinstance(source, str) else "prompts"
        raise ConfigError(f"{name}: no prompts in it; one JSON object a line, with 'prompt' or 'messages'")


def _row(where: str, data: Any, column: str | None, repeats: dict[bytes, int]) -> PromptRow:
    if not isinstance(data, dict):
        raise DataError(f"{where}: a row must be a JSON object, this is {type(data).__name__}")
    try:
        messages = _messages(data, column)
        check_written(data)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    prompt = Prompt(messages)
    content = sha256(orjson.dumps([[m.role, m.content] for m in messages])).digest()
    id = data.get("id", data.get("id_ddm"))
    if id is None or id == "":
        repeat = repeats[content] = repeats.get(content, 0) + 1
        id = content.hex()[:16] + (f"-{repeat}" if repeat > 1 else "")
    elif not isinstance(id, (str, int)) or isinstance(id, bool):
        raise DataError(f"{where}: 'id' must be a string or a number, this is {type(id).__name__}")
    return PromptRow(str(id), prompt, data, content, where)


def _messages(data: Mapping[str, Any], column: str | None) -> tuple[Message, ...]:
    fields = _FIELDS if column is None else (column,)
    field = next((name for name in fields if data.get(name)), None)
    if field is None:
        raise ValueError(f"no prompt: {_lacking(data, fields)}")
    value = data[field]
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(f"no prompt: {field!r} is blank")
        return (Message("user", value),)
    if not isinstance(value, list):
        raise ValueError(f"{field!r} must be a string or a list of messages")
    messages = tuple(_message(field, item) for item in value)
    if messages and messages[-1].role == "assistant":
        # A finished conversation: its last answer is what we are to write anew.
        messages = messages[:-1]
    if not messages or not any(m.content.strip() for m in messages if m.role != "system"):
        raise ValueError(f"no prompt: {field!r} has no message for the model to answer")
    return messages


def _lacking(data: Mapping[str, Any], fields: Sequence[str]) -> str:
    """Why none of the fields holds a prompt, and which column may."""
    empty = [name for name in fields if name in data]
    if empty:
        return f"{', '.join(map(repr, empty))} is empty"
    names = [repr(str(name)[:_LONGEST_NAME]) for name in data]
    listed = ", ".join([*names[:_MOST_NAMES], *(["…"] if len(names) > _MOST_NAMES else [])])
    found = f"found: {listed}; name one with --column" if names else "the row is empty"
    wanted = f"no column {fields[0]!r}" if len(fields) == 1 else f"none of {', '.join(map(repr, fields))}"
    return f"{wanted} is there; {found}"


def _message(field: str, item: Any) -> Message:
    if not isinstance(item, dict):
        raise ValueError(f"{field!r}: a message must be an object with 'role' and 'content'")
    role = item.get("role", item.get("from"))
    content = item.get("content", item.get("value"))
    if not isinstance(role, str) or not isinstance(content, str):
        raise ValueError(f"{field!r}: a message must have a 'role' and a text 'content'")
    return Message(_SHAREGPT.get(role, role) if "from" in item else role, content)
