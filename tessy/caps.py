"""How long a request may get where an abort comes late: learnt from the trajectory's own past turns.

A turn of the thinking is cut where the other kind of text begins, and what the engine has written by the
time it hears of it is thrown away. One that stops at once wastes a token or two. A service that does not, or
bills all that it was asked for, wastes a trace at every hand-over; so there the core asks for little, and
goes on with a further request of the same turn if that was not enough. See docs/performance/handover.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from math import ceil

from tessy.abc import Backend
from tessy.boundary import Origin, plugin
from tessy.types import Role, TurnRecord

__all__ = ["Caps", "capped", "learn"]

_QUANTILE = 0.9
"""Share of the turns that one request is enough for: the others cost a second one, rarely a third."""
_TURNS = 64
"""Turns of a role that are learnt from, the latest; spans get longer and shorter along a trace."""
_REACH = 4 * _TURNS
"""Turns, of any role, among which they are looked for: the work must not grow with the trace."""
_ENOUGH = 10
_BEYOND = 1.25
"""With fewer turns than these, the quantile is taken to lie this much beyond the longest."""
_UNKNOWN = 64
"""Tokens of the first request of all."""
_LEAST = 4
_WORD = 8
"""Characters of a word: labels end with whole words, so one more is waited for."""
_PER_TOKEN = 4.0
"""Characters a token has where nothing was written yet."""


class Caps:
    """Where the requests of one turn end: behind ``first`` of its tokens, then twice as many, and so on.

    The places depend on the turn alone, not on where a request begins: a turn that is resumed in its middle
    is asked for in the same pieces.
    """

    def __init__(self, first: int) -> None:
        self._end = first
        self._reached = 0

    def room(self, done: int) -> int:
        """Tokens for the request that begins behind the turn's first ``done``."""
        while self._end <= max(done, self._reached):
            self._end *= 2
        return self._end - done

    def reached(self) -> None:
        """A request has ended at its cap, however many tokens were counted: not all services show them."""
        self._reached = self._end


def learn(turns: Sequence[TurnRecord], role: Role, lookahead: int) -> Caps:
    """The caps of a role's next turn of thinking.

    Args:
        turns: the trajectory's finished turns, in order. Only what does not depend on timing is looked at:
            what was kept of turns that were cut.
        role: who writes.
        lookahead: characters that must follow a cut before it is seen.
    """
    lengths: list[int] = []
    characters = 0
    for turn in islice(reversed(turns), _REACH):
        if turn.role == role and turn.phase == "think" and turn.cut:
            lengths.append(turn.tokens)
            characters += turn.kept
            if len(lengths) == _TURNS:
                break
    tokens = sum(lengths)
    per_token = characters / tokens if tokens and characters else _PER_TOKEN
    return Caps(max(_LEAST, _expected(lengths)) + ceil((lookahead + _WORD) / per_token))


def _expected(lengths: Sequence[int]) -> int:
    if not lengths:
        return _UNKNOWN
    if len(lengths) < _ENOUGH:
        return round(_BEYOND * max(lengths))
    return sorted(lengths)[ceil(_QUANTILE * (len(lengths) + 1)) - 1]


def capped(backends: Mapping[Role, Backend], origins: Mapping[Role, Origin]) -> frozenset[Role]:
    """The roles whose requests get limits."""
    found = set()
    for role, backend in backends.items():
        with plugin(origins[role], "capabilities"):
            if backend.capabilities.capped:
                found.add(role)
    return frozenset(found)
