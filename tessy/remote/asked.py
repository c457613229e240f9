"""Where a request is, for the books: what has not gone out costs nothing."""

from __future__ import annotations

__all__ = ["Asked"]


class Asked:
    """One request of a session, which may be tried several times. Called by whoever sends it.

    Attributes:
        now: an endpoint has it, and has not failed; taken back now, its prompt is read all the same.
        ever: it has gone out at least once.
    """

    __slots__ = ("ever", "now")

    def __init__(self) -> None:
        self.now: bool = False
        self.ever: bool = False

    def __call__(self, now: bool) -> None:
        self.now = now
        self.ever = self.ever or now
