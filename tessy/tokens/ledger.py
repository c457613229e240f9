"""A session's append-only list of its own tokens.

The model's own text stands in it token by token as it was generated; the other's is encoded when it arrives,
and again only where more of it joins on to its end. Nothing before is ever encoded again: a re-encoded past
would miss the KV cache and drift from what the model really wrote. Which tokens they are depends on the spans
alone, not on when the model was asked in between: a resumed session has the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from tessy.formats.base import ChatFormat
from tessy.tokens.codec import Codec
from tessy.types import Phase, Prompt, Request, Span

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
        self._held = (0, 0)  # spans, and tokens, up to the end of what may be joined on to
        self._opened = False
        self._closed = False
        self._reset()

    def sync(self, request: Request) -> array[int]:
        """Bring the list up to date with the request; the tokens to generate from.

        What it returns goes on changing: copy what must outlive the next call.
        """
        spans = request.spans
        committed = len(spans) - request.uncommitted
        if committed < self._consumed:
            self._reset()
        held, tokens = self._held
        if self._consumed < held < committed and not self._joined(spans[held - 1], spans[held]):
            self._consumed, self._sure = held, tokens
        del self.ids[self._sure :]
        answering = request.closed or request.turn.phase == "answer"
        answering = answering or any(s.phase == "answer" for s in spans[self._consumed : committed])
        settled = self._settled(spans, committed, "answer" if answering else "think")
        new = spans[self._consumed : settled]
        think = [s for s in new if s.phase == "think"]
        answer = [s for s in new if s.phase == "answer"]
        self._consumed = settled
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
        self._extend(spans[settled:])
        self._held = (0, 0) if request.uncommitted else (committed, len(self.ids))
        return self.ids

    def _settled(self, spans: Sequence[Span], committed: int, phase: Phase) -> int:
        """How many of the spans have their last tokens: what comes next may join on to others' at the end."""
        while committed > self._consumed:
            last = spans[committed - 1]
            if last.phase != phase or not self._foreign(last):
                break
            committed -= 1
            if committed and not self._joined(spans[committed - 1], last):
                break
        return committed

    def _joined(self, left: Span, right: Span) -> bool:
        """Whether two neighbours are encoded as one text: both another's, and no word begins between them."""
        return (
            left.phase == right.phase
            and self._foreign(left)
            and self._foreign(right)
            and (left.text[-1:].strip() == "" or right.text[:1] != " ")
        )

    def _reset(self) -> None:
        self.ids = self._prompt[:]
        self._sure = len(self.ids)
        self._consumed = 0
        self._held = (0, 0)
        self._opened = False
        self._closed = False

    def _extend(self, spans: Sequence[Span]) -> None:
        foreign: list[str] = []
        before: Span | None = None
        for span in spans:
            # Neighbours are one text where a token may reach over: fewer seams inside what others wrote.
            if before is not None and not self._joined(before, span):
                self._plain(foreign)
            if self._foreign(span):
                foreign.append(span.text)
            else:
                self.ids.extend(self._own(span))
                self._plain([span.text[span.covered :]])
            before = span
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
