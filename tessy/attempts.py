"""How often a model is asked again for what it could not give."""

from __future__ import annotations

from tessy.errors import BackendDown, BackendError, BackendTimeout, BackendUnavailable

__all__ = ["RETRIES", "Attempts"]

RETRIES = 5
"""A fifth of all requests may fail, and of ten thousand turns not one is lost."""
_UNANSWERED = 2
"""Each time may take minutes."""


class Attempts:
    """The failures of one turn, or of one question.

    Args:
        retries: times it is asked for again.
    """

    def __init__(self, retries: int = RETRIES) -> None:
        self._left = retries
        self._unanswered = min(retries, _UNANSWERED)

    def again(self, error: BackendError, *, answered: bool) -> bool:
        """Whether to ask again after ``error``; ``answered``: some of the text had come."""
        if isinstance(error, BackendDown) or not isinstance(error, (BackendUnavailable, BackendTimeout)):
            return False
        if isinstance(error, BackendTimeout):
            if not error.again:
                return False
            self._unanswered -= not answered
        self._left -= 1
        return self._left >= 0 and self._unanswered >= 0
