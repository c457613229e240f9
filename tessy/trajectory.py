"""A trajectory: one trace in the making, exactly as the journal holds it."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

from tessy.spans import Spans, Turns
from tessy.types import Finish, Phase, Prepared, Prompt, Span, TurnRecord, join

__all__ = ["Trajectory"]


class Trajectory:
    """The committed spans and turns of one row, and the little that follows from them.

    Policies read it; only the writer appends. Nothing here depends on timing, so a trajectory rebuilt
    from the journal is equal to the one that was lost.

    Attributes:
        row: the row's id.
        sample: which of the row's samples this is, from 0.
        candidate: which of the policy's candidates, from 0.
        attempt: how many times the row was tried before.
        seed: the run's seed.
        spans: committed text in order; pieces of the turn that is under way stand last. A sequence, of which
            only the latest are held as objects: look at its end, or go through it.
        turns: finished turns in order, held in the same way.
        length: committed tokens, in the student's tokens where there is a student.
    """

    def __init__(
        self,
        prompt: Prompt,
        *,
        row: str,
        sample: int = 0,
        candidate: int = 0,
        attempt: int = 0,
        seed: int = 0,
        prepared: Prepared | None = None,
        spans: Iterable[Span] = (),
        turns: Iterable[TurnRecord] = (),
        length: int = 0,
    ) -> None:
        self.prompt = prompt
        self.row = row
        self.sample = sample
        self.candidate = candidate
        self.attempt = attempt
        self.seed = seed
        self.prepared = prepared
        self.spans: Spans = Spans(spans)
        self.turns: Turns = Turns(turns)
        self.length = length

    @property
    def last(self) -> TurnRecord | None:
        """The turn that was finished last."""
        return self.turns[-1] if self.turns else None

    @property
    def phase(self) -> Phase:
        """Where the trace stands: ``answer`` once the thinking is closed."""
        return "answer" if self.closed else "think"

    @property
    def closed(self) -> bool:
        """Whether the thinking has ended: a model closed it, or an answer was begun."""
        last = self.last
        return last is not None and (last.phase == "answer" or self.ended == "end_of_thinking")

    @property
    def ended(self) -> Finish | None:
        """How the last turn ended if it was kept whole; ``None`` if it was cut or there was none."""
        last = self.last
        return None if last is None or last.cut else last.finish

    @property
    def thinking(self) -> str:
        """The thinking so far, joined: O(length)."""
        return join(self.spans, "think")

    @property
    def answer(self) -> str:
        """The answer so far, joined: O(length)."""
        return join(self.spans, "answer")

    def and_then(self, span: Span | None, record: TurnRecord, tokens: int) -> Trajectory:
        """The trajectory as it would be if a turn ended so; ``tokens``: the span's, in the student's."""
        other = copy(self)
        # Never the list itself: it grows, and what is asked behind it would seem to stand behind that, too.
        other.spans = self.spans.copy() if span is None else self.spans.and_then(span)
        other.turns = self.turns.and_then(record)
        other.length = self.length + tokens
        return other

    def begun(self) -> list[Span]:
        """The pieces of a turn that was checkpointed but has not finished."""
        turn = len(self.turns)
        pieces = []
        for span in reversed(self.spans):
            if span.turn != turn:
                break
            pieces.append(span)
        return pieces[::-1]
