"""Streams of text as chunks: where the service shows no tokens, the end of the thinking is a line of its own.

A mark such as ``</think>`` ends the thinking only if it stands alone on its line: a model that quotes it in
a sentence ends nothing. Control strings (``<|end|>``) end it wherever they stand. What may become a mark is
held back until it is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from tessy.tokens import TokenReader
from tessy.types import Chunk, Finish
from tessy_openai.answering import CLOSE, OPEN, AnswerCheck
from tessy_openai.events import Delta
from tessy_openai.listed import ListedTokens

__all__ = ["ChatReader", "MarkedText", "RawReader", "Reader"]

_CONTROL = re.compile(r"<[|｜].*[|｜]>")


class Reader(Protocol):
    """Reads one turn."""

    @property
    def finished(self) -> Finish | None:
        """Why the turn ended, once it has."""
        ...

    def feed(self, delta: Delta) -> list[Chunk]:
        """What this event makes final."""
        ...

    def end(self, reason: str | None) -> list[Chunk]:
        """The service has ended the stream for that reason of its own."""
        ...


class MarkedText:
    """Text in which a mark may come.

    Args:
        marks: strings that end it; ``</think>``-like ones only alone on a line.
        reason: what their coming means.
        fresh: nothing, or a line break, stands before it.
        more: see `Request.more`.
    """

    def __init__(
        self, marks: Sequence[str], reason: Finish, *, fresh: bool = True, more: bool = False
    ) -> None:
        self._inline = [mark for mark in marks if _CONTROL.fullmatch(mark)]
        self._lines = [mark for mark in marks if mark not in self._inline]
        self._reason = reason
        self._fresh = fresh
        self._more = more
        self._text = ""
        self._tokens = 0
        self.finished: Finish | None = None

    @property
    def rest(self) -> str:
        """Once a mark that is a line has ended it: what came after that line."""
        rest = next((self._text.partition(mark)[2] for mark in self._lines if mark in self._text), "")
        return rest.lstrip(" \t").lstrip("\n")

    def feed(self, text: str, tokens: int = 1) -> Chunk | None:
        """What is final now; ``None`` if nothing."""
        if self.finished is not None:
            return None
        self._text += text
        self._tokens += tokens
        if (end := self._found(whole=False)) is not None:
            return self._give(end, self._reason)
        end = len(self._text) - self._held()
        return self._give(end, None) if end else None

    def end(self, reason: Finish) -> Chunk:
        """Nothing follows."""
        if (end := self._found(whole=True)) is not None:
            return self._give(end, self._reason)
        left = self._held() if self._more and reason == "length" else 0
        return self._give(len(self._text) - left, reason)

    def _found(self, *, whole: bool) -> int | None:
        """Where the text before the first mark ends."""
        ends = [at for mark in self._inline if (at := self._text.find(mark)) >= 0]
        for mark in self._lines:
            start = r"(?:\A|\n)" if self._fresh else r"\n"
            stop = r"[ \t]*(?:\n|\Z)" if whole else r"[ \t]*\n"
            if (match := re.search(start + re.escape(mark) + stop, self._text)) is not None:
                ends.append(match.start())
        return min(ends, default=None)

    def _held(self) -> int:
        """How much of the text's end may still become a mark."""
        held = 0
        for mark in self._inline:
            held = max(held, _overlap(self._text, mark))
        if self._lines:
            at = self._text.rfind("\n")
            if at >= 0 or self._fresh:
                line = self._text[at + 1 :]
                if any(mark.startswith(line) or line.rstrip(" \t") == mark for mark in self._lines):
                    held = max(held, len(self._text) - max(at, 0))
        return held

    def _give(self, end: int, finish: Finish | None) -> Chunk:
        text, self._text = self._text[:end], self._text[end:]
        tokens, self._tokens = self._tokens, 0
        if text:
            self._fresh = text.endswith("\n")
        self.finished = finish
        return Chunk(text, tokens, exact=False, finish=finish)


class RawReader:
    """A completion: by token where the service returns ids, else by text."""

    def __init__(
        self,
        text: MarkedText,
        tokens: TokenReader | None,
        finish: dict[str, Finish],
        listed: ListedTokens | None = None,
    ) -> None:
        self._text = text
        self._tokens = tokens
        self._listed = listed
        self._lists = False
        self._by_token: bool | None = None if tokens is not None else False
        self._finish = finish

    @property
    def finished(self) -> Finish | None:
        """See `Reader.finished`."""
        return self._tokens.finished if self._by_token and self._tokens else self._text.finished

    def feed(self, delta: Delta) -> list[Chunk]:
        """See `Reader.feed`."""
        if self._by_token is None and (delta.ids is not None or delta.text):
            self._by_token = delta.ids is not None
            self._lists = delta.listed
        chunk: Chunk | None = None
        if self._by_token and self._tokens is not None:
            if self._lists and self._listed is not None:
                ids, logprobs, exact = self._listed.read(delta)
                chunk = self._tokens.feed(ids, logprobs) if ids else None
                if chunk is not None and not exact:
                    chunk = replace(chunk, exact=False)
            elif delta.ids:
                chunk = self._tokens.feed(delta.ids, delta.logprobs)
        elif delta.text:
            chunk = self._text.feed(delta.text)
        return [] if chunk is None else [chunk]

    def end(self, reason: str | None) -> list[Chunk]:
        """See `Reader.end`."""
        if self.finished is not None:
            return []
        finish = self._finish.get(reason or "stop", "aborted")
        if self._by_token and self._tokens is not None:
            return [self._tokens.finish(finish)]
        return [self._text.end(finish)]


class ChatReader:
    """A chat answer: thinking and content, apart or in one text.

    Args:
        phase: what is wanted of it.
        begun: the thinking was begun by us, so content may be its continuation.
        separates: the service sends thinking apart that we began; ``None``: not known.
        fresh: the text so far is empty or ends with a line break.
        finish: our words for the service's reasons.
        more: see `Request.more`.
        check: reads along while the answer comes.
    """

    def __init__(
        self,
        phase: str,
        *,
        begun: bool,
        separates: bool | None,
        fresh: bool,
        finish: dict[str, Finish],
        more: bool = False,
        check: AnswerCheck | None = None,
    ) -> None:
        self._check = check
        self._thinking = phase == "think"
        self._raw = begun and not separates
        self._marked = MarkedText((CLOSE,), "end_of_thinking", fresh=fresh, more=more)
        self._more = more
        self._head = "" if begun else None  # the content's beginning, until it is known what it is
        self._finish = finish
        self.begun = begun
        self.separates = separates
        """The same after this stream; ``False``: it held the mark."""
        self.opened = begun
        """Whether a thinking was opened, by us or in this stream."""
        self.left: str = ""
        """Content that belongs to the answer: nobody has asked for it yet."""
        self.finished: Finish | None = None

    def feed(self, delta: Delta) -> list[Chunk]:
        """See `Reader.feed`."""
        if not self._thinking:
            if self._check is not None:
                self._check.feed(delta)
            return [Chunk(delta.text, 1, exact=False)] if delta.text else []
        chunks = []
        if delta.reasoning:
            self.separates, self.opened, self._raw, self._head = True, True, False, ""
            chunks.append(Chunk(delta.reasoning, 1, exact=False))
        if delta.text and self.finished is None:
            chunks += self._content(delta.text)
        return chunks

    def end(self, reason: str | None) -> list[Chunk]:
        """See `Reader.end`."""
        if self.finished is not None:
            return []
        if not self._thinking and self._check is not None:
            self._check.end()
        self.finished = self._finish.get(reason or "stop", "aborted")
        if self._thinking and self._head and not (self._more and self.finished == "length"):
            # So little that it could not be told what it is: an answer without thinking.
            self.left, self.finished = self._head, "end_of_thinking"
        elif self._thinking and self._raw:
            return [self._seen(self._marked.end(self.finished))]
        return [Chunk(finish=self.finished)]

    def _content(self, text: str) -> list[Chunk]:
        if self._head is None or (self._head and not self._raw):
            return self._begin(text)
        if self._raw:
            chunk = self._marked.feed(text)
            return [] if chunk is None else [self._seen(chunk)]
        return self._answer_begins(text)

    def _seen(self, chunk: Chunk) -> Chunk:
        self.finished = chunk.finish
        if chunk.finish == "end_of_thinking":
            self.separates, self.left = False, self._marked.rest
        return chunk

    def _begin(self, text: str) -> list[Chunk]:
        """The first content: the opening mark, or already the answer."""
        head = (self._head or "") + text
        bare = head.lstrip()
        if bare.startswith(OPEN) and len(bare) > len(OPEN):
            self._head, self._raw, self.opened = "", True, True
            return self._content(bare.removeprefix(OPEN).removeprefix("\n"))
        self._head = head
        if OPEN.startswith(bare) or bare == OPEN:
            return []
        self._head = ""
        return self._answer_begins(head)

    def _answer_begins(self, text: str) -> list[Chunk]:
        self.left, self.finished = text.lstrip("\n"), "end_of_thinking"
        return [Chunk(finish="end_of_thinking")]


def _overlap(text: str, mark: str) -> int:
    """How long the end of ``text`` is that begins ``mark``."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
