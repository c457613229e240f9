"""What must not pass for an answer: thinking that nobody sees, or that stands in it."""

from __future__ import annotations

from tessy.errors import BackendRejected, ContinuationUnsupported
from tessy_openai.events import Delta

__all__ = ["CLOSE", "OPEN", "AnswerCheck"]

OPEN, CLOSE = "<think>", "</think>"
"""The marks of models whose thinking comes as text."""


class AnswerCheck:
    """Reads along while an answer comes.

    Args:
        what: the backend, for messages.
        closed: the service has been told that the thinking has ended.
        opened: there was a thinking. If not, one may stand in the answer, of a service that does not send it
            apart.
        before: the answer so far.
    """

    def __init__(self, what: str, *, closed: bool, opened: bool, before: str = "") -> None:
        self._what = what
        self._closed = closed
        self._watches = not opened and OPEN not in before
        self._line = before.rpartition("\n")[2]

    def feed(self, delta: Delta) -> None:
        """Look at the next event.

        Raises:
            ContinuationUnsupported: the service thinks on, so the answer would rest on what is in no row.
            BackendRejected: a thinking ends in the answer.
        """
        if self._closed and delta.reasoning.strip():
            raise ContinuationUnsupported(
                f"{self._what}: the thinking is closed, and the service still sends thinking in place of an "
                "answer: its chat API cannot go on from there (llama-server can since May 2026). Use "
                "tokenizer= for continuation=token-ids, template= for continuation=text, or another "
                "continuation=; or let the other model write the answer"
            )
        if delta.reasoning:
            self._watches = False  # this service does send it apart
        if self._watches and delta.text:
            *lines, self._line = (self._line + delta.text).split("\n")
            for line in lines:
                self._look(line)

    def end(self) -> None:
        """Nothing follows.

        Raises:
            BackendRejected: see `feed`.
        """
        if self._watches:
            self._look(self._line)

    def _look(self, line: str) -> None:
        """A template that opens the thinking in the prompt leaves only its end to be seen."""
        if self._watches and line.rstrip() == CLOSE:
            raise BackendRejected(
                f"{self._what}: a line {CLOSE!r} stands in the answer: what is before it is thinking, which "
                "the server does not separate. Start it with a reasoning parser (vLLM, SGLang: "
                "--reasoning-parser), or use tokenizer= for continuation=token-ids, template= for "
                "continuation=text"
            )
        # What the answer itself has opened it may close, as an example of such a text does.
        self._watches &= OPEN not in line
