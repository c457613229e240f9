"""What must not pass for an answer: thinking that nobody sees, or that stands in it."""

from __future__ import annotations

from tessy.errors import ContinuationUnsupported
from tessy_openai.events import Delta

__all__ = ["AnswerCheck"]


class AnswerCheck:
    """Reads along while an answer comes.

    Args:
        what: the backend, for messages.
        closed: the service has been told that the thinking has ended.
    """

    def __init__(self, what: str, *, closed: bool) -> None:
        self._what = what
        self._closed = closed

    def feed(self, delta: Delta) -> None:
        """Look at the next event.

        Raises:
            ContinuationUnsupported: the service thinks on, so the answer would rest on what is in no row.
        """
        if self._closed and delta.reasoning.strip():
            raise ContinuationUnsupported(
                f"{self._what}: the thinking is closed, and the service still sends thinking in place of an "
                "answer: its chat API cannot go on from there (llama-server can since May 2026). Use "
                "tokenizer= for continuation=token-ids, template= for continuation=text, or another "
                "continuation=; or let the other model write the answer"
            )
