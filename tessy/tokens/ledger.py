"""A session's append-only list of its own tokens.

The model's own text stands in it token by token as it was generated; the other's is encoded once, when it
arrives. Nothing is ever encoded again: a re-encoded past would miss the KV cache and drift from what the
model really wrote.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from tessy.formats.base import ChatFormat
from tessy.tokens.codec import Codec
from tessy.types import Prompt, Request, Span

__all__ = ["TokenLedger"]


class TokenLedger:
    """The tokens of one model's view of one trajectory.

    Args:
        codec: the model's vocabulary.
        format: its chat format.
        prompt: what it answers.
        role: whose view this is; spans by this author are its own.
    """

    def __init__(self, codec: Codec, format: ChatFormat, prompt: Prompt, role: str) -> None:
        self._codec = codec
        self._format = format
        self._role = role
        self._mark = tuple(codec.encode_control(format.end_mark)) if format.end_mark else ()
        self._prompt = array("I", self._encode_prompt(prompt))
        self.ids: array[int] = array("I")
        self._sure = 0  # tokens of what is committed
        self._consumed = 0
        self._opened = False
        self._closed = False
        self._reset()

    def sync(self, request: Request) -> array[int]:
        """Bring the list up to date with the request; the tokens to generate from.

        What it returns goes on changing: copy what must outlive the next call.
        """
        spans = request.spans
        committed = len(spans) - request.uncommitted
        del self.ids[self._sure :]
        if committed < self._consumed:
            self._reset()
        # What another wrote is encoded as one text, and that is not at its end yet.
        while request.uncommitted and committed > self._consumed and self._foreign(spans[committed - 1]):
            committed -= 1
        new = spans[self._consumed : committed]
        think = [s for s in new if s.phase == "think"]
        answer = [s for s in new if s.phase == "answer"]
        self._consumed = committed
        answering = request.closed or request.turn.phase == "answer" or bool(answer)
        if not self._opened:
            self._opened = True
            skips = answering and not any(s.phase == "think" for s in spans)
            self._control(self._format.answer_open if skips else self._format.open)
            self._closed = skips
        self._extend(think)
        if answering and not self._closed:
            self._close()
        self._extend(answer)
        self._sure = len(self.ids)
        self._extend(spans[committed:])
        return self.ids

    def _reset(self) -> None:
        self.ids = self._prompt[:]
        self._sure = len(self.ids)
        self._consumed = 0
        self._opened = False
        self._closed = False

    def _extend(self, spans: Sequence[Span]) -> None:
        foreign: list[str] = []
        for span in spans:
            if not self._foreign(span):
                self._plain(foreign)
                self.ids.extend(self._own(span))
                self._plain([span.text[span.covered :]])
            else:
                foreign.append(span.text)
        # Neighbouring foreign spans are encoded as one text: fewer seams inside what another wrote.
        self._plain(foreign)

    def _foreign(self, span: Span) -> bool:
        return span.author != self._role or span.ids is None

    def _own(self, span: Span) -> tuple[int, ...]:
        """A span's own tokens; an end of turn inside the thinking is not repeated to the model."""
        ids = span.ids or ()
        if span.phase == "think" and ids and self._codec.is_end(ids[-1]) and ids[-1:] != self._mark:
            return ids[:-1]
        return ids

    def _close(self) -> None:
        """Put the mark between thinking and answer, but for what this model wrote of it itself."""
        self._closed = True
        close, mark = self._format.close, self._format.end_mark
        if not close:
            return
        if mark and tuple(self.ids[-len(self._mark) :]) == self._mark:
            close = close[close.index(mark) + len(mark) :]
        self._control(close)

    def _plain(self, texts: list[str]) -> None:
        if text := "".join(texts):
            self.ids.extend(self._codec.encode(text))
        texts.clear()

    def _control(self, text: str) -> None:
        if text:
            self.ids.extend(self._codec.encode_control(text))

    def _encode_prompt(self, prompt: Prompt) -> list[int]:
        ids: list[int] = []
        for piece in self._format.render(prompt, self._codec.controls):
            ids += (self._codec.encode_control if piece.control else self._codec.encode)(piece.text)
        bos = self._codec.bos()
        return ids if bos is None or ids[:1] == [bos] else [bos, *ids]
