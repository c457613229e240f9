"""Books what a turn costs: what the engine counted, split into kept, marks and discarded."""

from __future__ import annotations

from dataclasses import replace

from tessy.abc import Session
from tessy.draft import Draft
from tessy.journal.records import TurnUsage
from tessy.types import Usage

__all__ = ["Booking"]


class Booking:
    """The account of one turn. Pieces of a long turn are booked as they are committed.

    Where the engine counts (`Session.usage`), its figures are taken, with the tokens that nobody read;
    elsewhere the tokens of the chunks that were read.
    """

    def __init__(self, session: Session, draft: Draft) -> None:
        self._session = session
        self._before = session.usage()
        self._booked = Usage()
        self._lost = 0
        self._requests = 1
        self._begun = draft.tokens

    def lost(self, draft: Draft) -> None:
        """The backend failed: what the draft had is discarded, and the turn asked for again."""
        self._lost += draft.tokens - draft.committed_tokens
        self._requests += 1

    def again(self) -> None:
        """A further request goes on with the draft."""
        self._requests += 1

    def piece(self, draft: Draft, end: int) -> TurnUsage:
        """A piece up to ``end`` is being committed, the stream goes on."""
        kept = draft.tokens_before(end) - draft.committed_tokens
        engine = self._total(draft) - self._booked
        return self._book(draft, replace(engine, generated=kept), kept)

    def rest(self, draft: Draft, at: int) -> TurnUsage:
        """The turn is being committed up to ``at``, the stream has ended."""
        kept = draft.tokens_before(at) - draft.committed_tokens
        whole = at >= len(draft) and draft.finish is not None
        marks = draft.tokens - draft.tokens_before(at) if whole else 0
        return self._book(draft, self._total(draft) - self._booked, kept, marks)

    def abandoned(self, draft: Draft) -> TurnUsage:
        """The turn is given up: nothing more of it is kept."""
        return self._book(draft, self._total(draft) - self._booked, 0)

    def _book(self, draft: Draft, engine: Usage, kept: int, marks: int = 0) -> TurnUsage:
        self._booked += engine
        discarded = max(0, engine.generated - kept - marks)
        return TurnUsage(draft.role, engine, kept, marks, discarded)

    def _total(self, draft: Draft) -> Usage:
        now = self._session.usage()
        if now is not None and self._before is not None:
            return now - self._before
        return Usage(generated=draft.tokens - self._begun + self._lost, requests=self._requests)
