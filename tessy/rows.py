"""Builds the rows of ``data.jsonl`` and ``failures.jsonl`` from what the journal holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tessy.journal.records import Failure, Job
from tessy.types import Json, Message, Prepared, Selected, Span, TurnRecord, join

__all__ = ["RowInfo", "build_candidate", "build_failure", "build_row", "public_id"]

_THINK = ("<think>\n", "\n</think>\n\n")


@dataclass(frozen=True, slots=True)
class RowInfo:
    """What all rows of a run share.

    ``marks`` stand around the thinking, in the student's own format; ``samples`` is how many samples
    each prompt gets.
    """

    policy: str
    detector: str | None
    models: Mapping[str, str]
    seed: int
    marks: tuple[str, str] = _THINK
    samples: int = 1


def public_id(job: Job, samples: int) -> str:
    """The row's id in the data: ``ID``, or ``ID#k`` where prompts are sampled more than once."""
    return job.row if samples == 1 and job.sample == 0 else f"{job.row}#{job.sample}"


def build_row(
    info: RowInfo,
    job: Job,
    spans: Sequence[Span],
    turns: Sequence[TurnRecord],
    prepared: Prepared | None = None,
    selected: Selected | None = None,
) -> dict[str, Json]:
    """A finished row: input columns, ``id``, ``messages``, and ``tessy``."""
    stored = prepared.stored if prepared is not None and prepared.stored is not None else job.prompt.messages
    content, written = _content(info, spans, turns)
    tessy: dict[str, Json] = {
        **written,
        "policy": info.policy,
        "detector": info.detector,
        "models": dict(info.models),
        "seed": info.seed,
    }
    if not all(span.exact for span in spans):
        tessy["estimated"] = True
    if prepared is not None and prepared.metadata:
        tessy["prepared"] = dict(prepared.metadata)
    if selected is not None:
        tessy["selected"] = {"candidate": selected.candidate, "note": selected.note}
    return {
        **_own_columns(job),
        "id": public_id(job, info.samples),
        "messages": [*map(_message, stored), {"role": "assistant", "content": content}],
        "tessy": tessy,
    }


def build_candidate(
    info: RowInfo, candidate: int, spans: Sequence[Span], turns: Sequence[TurnRecord]
) -> dict[str, Json]:
    """A finished candidate that was not selected, for ``tessy.candidates`` of the row."""
    content, written = _content(info, spans, turns)
    return {"candidate": candidate, "content": content, **written}


def _content(
    info: RowInfo, spans: Sequence[Span], turns: Sequence[TurnRecord]
) -> tuple[str, dict[str, Json]]:
    """The assistant's message, and what is to be said of it."""
    thinking, answer = join(spans, "think"), join(spans, "answer")
    begin, end = info.marks if info.marks != ("", "") or not thinking else _THINK
    listed = _spans(spans, {"think": len(begin), "answer": len(begin) + len(thinking) + len(end)})
    return begin + thinking + end + answer, {
        "spans": listed,
        "tokens": _tokens(spans),
        "switches": sum(a["author"] != b["author"] for a, b in pairwise(listed)),
        "turns": len(turns),
        "finish": turns[-1].finish if turns else None,
    }


def build_failure(info: RowInfo, job: Job, failure: Failure) -> dict[str, Json]:
    """A row that could not be finished, with what was written so far."""
    return {
        **_own_columns(job),
        "id": public_id(job, info.samples),
        "messages": list(map(_message, job.prompt.messages)),
        "error": {"reason": failure.reason, "message": failure.message, "attempt": job.attempt},
        "partial": {"thinking": failure.thinking, "answer": failure.answer, "turns": failure.turns},
    }


def _own_columns(job: Job) -> dict[str, Json]:
    return {key: value for key, value in job.columns.items() if key not in ("id", "messages", "tessy")}


def _message(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}


def _tokens(spans: Sequence[Span]) -> dict[str, int]:
    tokens = {"teacher": 0, "student": 0}
    for span in spans:
        tokens[span.author] = tokens.get(span.author, 0) + span.tokens
    return tokens


def _spans(spans: Sequence[Span], starts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Spans with their place in the content; neighbouring pieces of one turn are one span."""
    at = dict(starts)
    listed: list[dict[str, Any]] = []
    turn = -1
    for span in spans:
        start = at[span.phase]
        at[span.phase] = end = start + len(span.text)
        if listed and span.turn == turn:
            listed[-1]["end"] = end
            listed[-1]["tokens"] += span.tokens
            # A turn in pieces is one kind only if all its pieces are.
            if listed[-1]["kind"] != span.kind:
                listed[-1]["kind"] = "capability" if span.kind is not None else None
            continue
        turn = span.turn
        entry = {
            "author": span.author,
            "phase": span.phase,
            "kind": span.kind,
            "start": start,
            "end": end,
            "tokens": span.tokens,
        }
        if span.via is not None:
            entry["via"] = span.via
        listed.append(entry)
    return listed
