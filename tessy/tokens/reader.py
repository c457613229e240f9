"""Turns one turn's generated tokens into chunks: text that is final, with its tokens.

Held back are tokens whose last character is incomplete (a limit in the middle of a character drops them:
they would make half a character final), and, while thinking, the line break that belongs to the closing mark
if the mark follows. The end of the thinking is a token, never a text: quoting the mark ends nothing.
"""

from __future__ import annotations

import codecs
from bisect import bisect_left
from collections.abc import Sequence

from tessy.formats.base import ChatFormat
from tessy.tokens.codec import Codec
from tessy.types import Chunk, Finish, Phase, TokenLogprob

__all__ = ["TokenReader"]

_FIRST = (0,)


class TokenReader:
    """Reads the tokens of one turn; ``more`` is `Request.more`.

    Attributes:
        finished: why the turn ended, once it has.
    """

    def __init__(self, codec: Codec, format: ChatFormat, phase: Phase, *, more: bool = False) -> None:
        self._codec = codec
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        mark = codec.encode_control(format.end_mark) if phase == "think" and format.end_mark else []
        self._mark = mark[0] if len(mark) == 1 else None
        ends = [codec.encode_control(text) for text in format.turn_ends] if phase == "answer" else []
        self._ends = frozenset(ids[0] for ids in ends if len(ids) == 1)
        self.stops: frozenset[int] = self._ends | ({self._mark} if self._mark is not None else set())
        """Tokens at which an engine may stop by itself, besides those that end a turn anyway."""
        head = format.close[: format.close.find(format.end_mark)] if self._mark is not None else ""
        self._head = head
        self._more = more
        self.finished: Finish | None = None
        self._text = ""  # decoded, not yet given out
        self._ids: list[int] = []  # their tokens, and those of an incomplete character
        self._offsets: list[int] = []  # in self._text
        self._logprobs: list[TokenLogprob] = []
        self._start = 0  # where the character that is still incomplete begins
        self._whole = 0, 0  # tokens and characters before the first token that is incomplete

    def feed(self, tokens: Sequence[int], logprobs: Sequence[TokenLogprob] | None = None) -> Chunk | None:
        """What these tokens make final; ``None`` if nothing yet. Tokens after the end are ignored."""
        held = self._ids or self._text or self.finished is not None
        if len(tokens) == 1 and logprobs is None and not held:
            quick = self._quick(tokens[0])
            if quick is not None:
                return quick
        for i, token in enumerate(tokens):
            if self.finished is not None:
                break
            if logprobs is not None:
                self._logprobs.append(logprobs[i])
            if token == self._mark:
                return self._end("end_of_thinking", token)
            if token in self._ends or self._codec.is_end(token):
                return self._end("end_of_turn", token)
            self._add(token, self._codec.piece(token))
        return None if self.finished is not None else self._ready()

    def finish(self, reason: Finish) -> Chunk:
        """The engine has ended the turn: everything held back is final, but no half character."""
        if reason in ("length", "aborted"):
            count, end = self._whole
            if self._more and reason == "length" and (held := _held(self._text[:end], self._head)):
                # Tokens with which a mark may begin are left for the next request.
                first = bisect_left(self._offsets, end - held, hi=count)
                if first < count:
                    count, end = first, self._offsets[first]
            self._text = self._text[:end]
            del self._ids[count:], self._offsets[count:], self._logprobs[count:]
            self._decoder.reset()
        return self._end(reason, None)

    def _quick(self, token: int) -> Chunk | None:
        """What `feed` gives for most tokens: nothing is held back, and nothing of this one is either."""
        if token == self._mark or token in self._ends or self._codec.is_end(token):
            return None
        try:
            text = self._codec.piece(token).decode()
        except UnicodeDecodeError:  # a part of a character
            return None
        # The head's first character is in whatever may be held back.
        if not text or (self._head and self._head[0] in text and _held(text, self._head)):
            return None
        return Chunk(text, 1, (token,), _FIRST)

    def _add(self, token: int, piece: bytes) -> None:
        inside = bool(self._decoder.getstate()[0])
        self._ids.append(token)
        # What goes on with a character cannot be parted from the token in which that character begins.
        self._offsets.append(self._offsets[-1] if inside and self._offsets else self._start)
        self._text += self._decoder.decode(piece)
        # The next token begins here, or goes on with the character that is still incomplete.
        self._start = len(self._text)
        if not self._decoder.getstate()[0]:
            self._whole = len(self._ids), len(self._text)

    def _ready(self) -> Chunk | None:
        """All text up to what is held back, with the tokens that begin in it and are complete."""
        end = len(self._text)
        if self._head:
            end = len(self._text) - _held(self._text, self._head)
        end = min(end, self._whole[1])
        count = len(self._ids)
        if end < len(self._text) or self._decoder.getstate()[0]:
            # A token that also holds held-back text goes out with its first character.
            while count and self._offsets[count - 1] >= end:
                count -= 1
        if end == 0:
            return None
        return self._give(end, count, None)

    def _end(self, reason: Finish, token: int | None) -> Chunk:
        self._text += self._decoder.decode(b"", True)
        if reason == "end_of_thinking" and self._head and self._text.endswith(self._head):
            self._text = self._text[: -len(self._head)]
        if token is not None:
            self._ids.append(token)
            self._offsets.append(len(self._text))
        self.finished = reason
        return self._give(len(self._text), len(self._ids), reason)

    def _give(self, end: int, count: int, finish: Finish | None) -> Chunk:
        chunk = Chunk(
            self._text[:end],
            count,
            tuple(self._ids[:count]),
            tuple(min(offset, end) for offset in self._offsets[:count]),
            logprobs=tuple(self._logprobs[:count]) if self._logprobs else None,
            finish=finish,
        )
        self._text = self._text[end:]
        self._start -= end
        self._whole = self._whole[0] - count, self._whole[1] - end
        del self._ids[:count], self._logprobs[:count]
        self._offsets = [offset - end for offset in self._offsets[count:]]
        return chunk


def _held(text: str, head: str) -> int:
    """How long the end of ``text`` is that may be the beginning of the mark's head."""
    for length in range(min(len(head), len(text)), 0, -1):
        if text.endswith(head[:length]):
            return length
    return 0
