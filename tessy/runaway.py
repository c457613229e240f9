"""A model that says the same over and over, found while it writes.

Loops are looked for at fixed places of the text, and a draft ends at the first that shows one: what is found
depends on the text alone, not on how it arrived or how often the run was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence

from tessy.draft import Draft
from tessy.repetition import Repetition
from tessy.types import Phase, Span

__all__ = ["Runaway"]

_STEP = 256
"""Characters between places where exact loops are looked for."""
_STRIDE = 2048
"""Characters between places where slow loops are looked for; a multiple of `_STEP`."""


class Runaway:
    """Watches one trajectory's text, thinking and answer each for itself.

    ``find`` sees every draft grow, ``commit`` says how much of it was kept.

    Attributes:
        found: the loop that the committed text ends in, in words; ``None`` if it ends in none.
    """

    def __init__(self, settings: Repetition | None, spans: Sequence[Span] = ()) -> None:
        self.found: str | None = None
        self._settings = settings
        self._draft: Draft | None = None
        self._phase: Phase = "think"
        self._kept = _Tail()
        self._seen = _Tail()
        self._base = 0  # where the draft begins, in characters of its phase
        self._end: int | None = None  # where the draft's loop is found, in its characters
        self._why: str | None = None
        if settings is not None:
            self._resume(settings, spans)

    def find(self, draft: Draft) -> int | None:
        """Where the draft, grown or begun, must end because a loop is found there."""
        settings = self._settings
        if settings is None:
            return None
        if draft is not self._draft:
            self._begin(draft)
        if self._end is None and self._base + len(draft) >= self._seen.place:
            self._why = self._seen.extend(draft.since(self._seen.end - self._base), settings)
            if self._why is not None:
                self._end = self._seen.end - self._base
        return self._end

    def commit(self, draft: Draft, span: Span, end: int) -> None:
        """``span`` of the draft, up to its character ``end``, has entered the ledger."""
        settings = self._settings
        if settings is None:
            return
        if draft is not self._draft:
            self._begin(draft)
        self._kept.append(span.text, settings)
        if self._end is not None and self._end <= end:
            self.found = self._said(self._why)

    def _begin(self, draft: Draft) -> None:
        if draft.phase != self._phase:
            self._phase, self._kept = draft.phase, _Tail()
        self._draft = draft
        self._base = self._kept.end - draft.committed
        self._seen = self._kept.copy()
        self._end = self._why = None

    def _resume(self, settings: Repetition, spans: Sequence[Span]) -> None:
        """Go on behind spans. All but the last were looked at when they were committed."""
        for i, span in enumerate(spans):
            if span.phase != self._phase:
                self._phase, self._kept = span.phase, _Tail()
            if i < len(spans) - 1:
                self._kept.append(span.text, settings)
            else:
                self.found = self._said(self._kept.extend(span.text, settings))

    def _said(self, why: str | None) -> str | None:
        return why and f"the {'thinking' if self._phase == 'think' else 'answer'} {why}"


class _Tail:
    """The end of a text: all that its loops show in.

    Attributes:
        end: of the text, in characters.
    """

    __slots__ = ("_parts", "_size", "_text", "end")

    def __init__(self) -> None:
        self.end = 0
        self._text = ""
        self._parts: list[str] = []
        self._size = 0

    @property
    def place(self) -> int:
        """Where is looked for loops next."""
        return (self.end // _STEP + 1) * _STEP

    def copy(self) -> _Tail:
        """One that grows by itself."""
        other = _Tail()
        other.end, other._text, other._parts, other._size = self.end, self._text, self._parts[:], self._size
        return other

    def append(self, text: str, settings: Repetition) -> None:
        """The text goes on."""
        self._parts.append(text)
        self._size += len(text)
        self.end += len(text)
        if self._size > _STRIDE:
            self._join(settings)

    def extend(self, text: str, settings: Repetition) -> str | None:
        """The text goes on, up to the first place where it ends in a loop; says in which."""
        at = 0
        while self.end + len(text) - at >= self.place:
            stop = at + self.place - self.end
            self.append(text[at:stop], settings)
            at = stop
            slow = self.end % _STRIDE == 0 and settings.share > 0
            if (why := settings.loop(self._join(settings), slow=slow)) is not None:
                return why
        self.append(text[at:], settings)
        return None

    def _join(self, settings: Repetition) -> str:
        self._text = (self._text + "".join(self._parts))[-settings.reach :]
        self._parts.clear()
        self._size = 0
        return self._text
