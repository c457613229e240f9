"""Tokens as llama-server shows them: one an event, beside its log-probability, if that was asked for.

A token that ends inside a character has no event (``process_token`` in its server): the last one of the
character brings the whole text.
"""

from __future__ import annotations

from collections.abc import Sequence

from tessy.errors import BackendRejected
from tessy.tokens.codec import Codec
from tessy.types import TokenLogprob
from tessy_openai.events import Delta

__all__ = ["ListedTokens"]


class ListedTokens:
    """Completes the tokens of an event by its text."""

    def __init__(self, what: str, codec: Codec) -> None:
        self._what = what
        self._codec = codec

    def read(self, delta: Delta) -> tuple[Sequence[int], Sequence[TokenLogprob], bool]:
        """The event's tokens, their log-probabilities, and whether they are exactly the model's.

        A character whose first tokens were not shown is encoded anew, and what is known of its last token
        stands for all of them.

        Raises:
            BackendRejected: there is text without log-probabilities, or with one that was never computed.
        """
        ids, logprobs = delta.ids or (), delta.logprobs or ()
        if delta.text and not (ids and all(one.top for one in logprobs)):
            raise BackendRejected(
                f"{self._what}: text came without the log-probabilities that were asked for: llama-server "
                "has none for what a draft model proposed; switch speculative decoding off"
            )
        pieces = [self._codec.piece(token) for token in ids]
        if not all(pieces) or b"".join(pieces) == delta.text.encode():
            return ids, logprobs, True  # control tokens have no piece, and their text may be hidden
        if not delta.text:
            return (), (), True  # held back, as it may begin a stop string; the next text has it
        encoded = self._codec.encode(delta.text)
        return encoded, [logprobs[-1]] * len(encoded), encoded[-1:] == [ids[-1]]
