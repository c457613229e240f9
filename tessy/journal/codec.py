"""How spans and turns look in SQLite's columns."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Any

import orjson

from tessy.journal.records import Failure, TurnUsage
from tessy.types import Label, Message, Prepared, Prompt, Selected, Span, TurnRecord

__all__ = [
    "check",
    "failure_to",
    "prepared_from",
    "prepared_to",
    "prompt_from",
    "prompt_to",
    "selected_from",
    "selected_to",
    "span_from",
    "span_to",
    "turn_from",
    "turn_to",
    "usage_to",
]


def check(columns: Sequence[Any]) -> None:
    """Raise what SQLite would raise, here where only one trajectory is at stake.

    Raises:
        TypeError, ValueError: a value is none that a column can hold.
    """
    for value in columns:
        if isinstance(value, str):
            value.encode()
        elif isinstance(value, int):
            value.to_bytes(8, "big", signed=True)
        elif not isinstance(value, (float, bytes, type(None))):
            raise TypeError(f"{value!r:.80} is a {type(value).__name__}")


def _pack(ids: Sequence[int]) -> bytes:
    values = array("I", ids)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _unpack(blob: bytes) -> tuple[int, ...]:
    values = array("I")
    values.frombytes(blob)
    if sys.byteorder == "big":
        values.byteswap()
    return tuple(values)


def span_to(span: Span) -> tuple[Any, ...]:
    """Columns ``turn … labels`` of table ``spans``."""
    labels = [[i.start, i.end, int(i.style), i.p] for i in span.labels]
    return (
        span.turn,
        span.author,
        span.phase,
        span.kind,
        span.text,
        span.tokens,
        int(span.exact),
        None if span.ids is None else _pack(span.ids),
        span.covered,
        span.via,
        orjson.dumps(labels).decode() if labels else None,
    )


def span_from(row: Sequence[Any]) -> Span:
    """The span in such columns."""
    turn, author, phase, kind, text, tokens, exact, ids, covered, via, labels = row
    return Span(
        author=author,
        phase=phase,
        text=text,
        turn=turn,
        tokens=tokens,
        ids=None if ids is None else _unpack(ids),
        covered=covered,
        exact=bool(exact),
        kind=kind,
        via=via,
        labels=tuple(Label(a, b, bool(s), p) for a, b, s, p in orjson.loads(labels)) if labels else (),
    )


def turn_to(turn: TurnRecord) -> tuple[Any, ...]:
    """Columns ``n … note`` of table ``turns``."""
    note = None if turn.note is None else orjson.dumps(turn.note).decode()
    return (
        turn.n,
        turn.role,
        turn.phase,
        turn.kept,
        turn.drafted,
        turn.tokens,
        turn.finish,
        int(turn.cut),
        note,
    )


def turn_from(row: Sequence[Any]) -> TurnRecord:
    """The turn in such columns."""
    n, role, phase, kept, drafted, tokens, finish, cut, note = row
    return TurnRecord(
        n,
        role,
        phase,
        kept,
        drafted,
        tokens,
        finish,
        bool(cut),
        orjson.loads(note) if note is not None else None,
    )


def usage_to(usage: TurnUsage) -> tuple[Any, ...]:
    """Columns ``role … estimated`` of table ``usage``."""
    engine = usage.engine
    return (
        usage.role,
        usage.purpose,
        engine.prompt,
        engine.cached,
        engine.generated,
        usage.kept,
        usage.marks,
        usage.discarded,
        engine.requests,
        engine.estimated,
    )


def failure_to(failure: Failure) -> tuple[Any, ...]:
    """Columns ``reason … turns`` of table ``failures``."""
    return failure.reason, failure.message, failure.thinking, failure.answer, failure.turns


def prompt_to(prompt: Prompt) -> str:
    """JSON of the messages."""
    return orjson.dumps([{"role": m.role, "content": m.content} for m in prompt.messages]).decode()


def prompt_from(text: str) -> Prompt:
    """The prompt in such JSON."""
    return Prompt(tuple(Message(m["role"], m["content"]) for m in orjson.loads(text)))


def prepared_to(prepared: Prepared) -> str:
    """JSON of what a policy prepared."""
    prompts = {role: orjson.loads(prompt_to(prompt)) for role, prompt in prepared.prompts.items()}
    stored = None if prepared.stored is None else orjson.loads(prompt_to(Prompt(prepared.stored)))
    return orjson.dumps({"prompts": prompts, "stored": stored, "metadata": dict(prepared.metadata)}).decode()


def prepared_from(text: str) -> Prepared:
    """What a policy prepared."""
    data = orjson.loads(text)
    stored = data["stored"]
    return Prepared(
        {role: prompt_from(orjson.dumps(m).decode()) for role, m in data["prompts"].items()},
        None if stored is None else tuple(Message(m["role"], m["content"]) for m in stored),
        data["metadata"],
    )


def selected_to(selected: Selected) -> str:
    """JSON of what a policy selected."""
    fields = {"candidate": selected.candidate, "note": selected.note, "keep_others": selected.keep_others}
    return orjson.dumps(fields).decode()


def selected_from(text: str) -> Selected:
    """What a policy selected."""
    return Selected(**orjson.loads(text))
