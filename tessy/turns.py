"""What follows from a turn: the request that it makes, and what of its draft is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tessy.draft import Draft
from tessy.limits import Limits
from tessy.seam import place
from tessy.seeds import derive
from tessy.trajectory import Trajectory
from tessy.types import Cut, Keep, Request, Span, Turn, TurnRecord

__all__ = ["Kept", "conclude", "fault", "left", "request", "room"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a draft: up to character ``at``; the span that is not committed yet; the record."""

    at: int
    span: Span | None
    record: TurnRecord


def fault(turn: Turn) -> str | None:
    """What is wrong with a policy's wish; unsaid, its backend would be blamed for it."""
    most, stop, top = turn.max_tokens, turn.stop, turn.top_logprobs
    if most is not None and (not isinstance(most, int) or most < 1):
        return f"max_tokens={most!r}: neither None nor a whole number from 1 on"
    if isinstance(stop, str) or not all(isinstance(text, str) and text for text in stop):
        return f"stop={stop!r}: no tuple of strings that are not empty"
    if not isinstance(top, int) or top < 0:
        return f"top_logprobs={top!r}: no whole number"
    return None


def request(trajectory: Trajectory, draft: Draft, most: int, *, more: bool = False) -> Request:
    """What the turn's model is asked for, at most so many tokens, behind what the draft has already."""
    turn = draft.turn
    spans: Sequence[Span] = trajectory.spans
    uncommitted = len(draft) > draft.committed
    if uncommitted:
        spans = trajectory.spans.and_then(draft.span(len(draft), len(trajectory.turns)))
    seed = derive(
        trajectory.seed,
        trajectory.row,
        trajectory.sample,
        trajectory.candidate,
        len(trajectory.turns),
        trajectory.attempt,
    )
    closed = trajectory.closed or turn.phase == "answer"
    return Request(replace(turn, max_tokens=most), spans, seed, draft.tokens, closed, int(uncommitted), more)


def room(trajectory: Trajectory, limits: Limits, count: Callable[[Span], int]) -> int:
    """Tokens that the trace had room for when the turn under way began.

    Resumed in its middle, it must find the same: its writer's tokens are not the student's.
    """
    return limits.max_length - trajectory.length + sum(map(count, trajectory.begun()))


def left(draft: Draft, room: int) -> int:
    """Tokens that a turn may still have where the trace had so much room, at least one."""
    most = draft.turn.max_tokens
    return max(1, (room if most is None else min(room, most)) - draft.tokens)


def conclude(draft: Draft, verdict: Keep | Cut, n: int) -> Kept:
    """What the verdict keeps of turn ``n``."""
    at = _place(draft, verdict)
    finish = draft.finish or "aborted"
    cut = isinstance(verdict, Cut) and (at < len(draft) or finish not in ("length", "stop"))
    if cut and at == len(draft):
        draft.drop_end()
    span = draft.span(at, n) if at > draft.committed else None
    record = TurnRecord(
        n=n,
        role=draft.role,
        phase=draft.phase,
        kept=at,
        drafted=len(draft),
        tokens=draft.tokens_before(at),
        finish=finish,
        cut=cut,
        note=verdict.note,
    )
    return Kept(at, span, record)


def _place(draft: Draft, verdict: Keep | Cut) -> int:
    if isinstance(verdict, Keep) or verdict.at >= len(draft):
        return len(draft)
    at = verdict.at
    if verdict.seam == "word":
        at = place(draft.text, at, draft.token_starts(), start=draft.committed)
    return at
