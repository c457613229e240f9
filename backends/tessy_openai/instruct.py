"""Mode ``instruct``: a closed chat model is asked, in words, to go on from the exact end of a text.

It is a makeshift: the model sees the text from outside, not as its own. It is therefore never chosen
silently, and every span so written says ``"via": "instructed"``.
"""

from __future__ import annotations

from dataclasses import replace

from tessy.types import Chunk, Finish, Request
from tessy_openai.events import Delta
from tessy_openai.reading import MarkedText

__all__ = ["InstructReader", "instruction"]

_MARK = "</think>"
_WINDOW = 240
"""Characters of a reply that are looked at for a repetition before any is given out."""
_SHORTEST = 12
"""Characters that must agree to be a repetition and no coincidence."""

_THINK = (
    "Below is the beginning of a reasoning about the conversation above. Go on with it from exactly where it "
    "ends, in the same voice, as if you had written it: no greeting, comment or heading, nothing repeated. "
    "If a word has been begun, finish it. When the reasoning is complete, write a line with nothing but "
    f"{_MARK} and stop. Write the continuation only.\n\n"
)
_ANSWER = (
    "Below are a finished reasoning about the conversation above and the beginning of the reply to it, which "
    "may still be empty. Go on with the reply from exactly where it ends: nothing repeated, no comment. "
    "Write the continuation only.\n\n"
)


def instruction(request: Request) -> str:
    """What the model is asked."""
    if request.turn.phase == "think":
        return f"{_THINK}<reasoning>\n{request.thinking}"
    return f"{_ANSWER}<reasoning>\n{request.thinking}\n</reasoning>\n\n<reply>\n{request.answer}"


class InstructReader:
    """Takes away what the reply repeats of the text, and puts back a space that it lost at the seam."""

    def __init__(self, request: Request, finish: dict[str, Finish]) -> None:
        self._before = request.thinking if request.turn.phase == "think" else request.answer
        thinks = request.turn.phase == "think"
        fresh = not self._before or self._before.endswith("\n")
        self._marked = MarkedText((_MARK,) if thinks else (), "end_of_thinking", fresh=fresh)
        self._thinks = thinks
        self._finish = finish
        self._head: str | None = ""
        self._tokens = 0
        self.finished: Finish | None = None

    def feed(self, delta: Delta) -> list[Chunk]:
        """See `tessy_openai.reading.Reader.feed`."""
        if not delta.text or self.finished is not None:
            return []
        self._tokens += 1
        if self._head is not None:
            self._head += delta.text
            if len(self._head) < _WINDOW and not self._settled():
                return []
            return self._give(self._marked.feed(self._take_head(), self._take_tokens()))
        return self._give(self._marked.feed(delta.text, self._take_tokens()))

    def end(self, reason: str | None) -> list[Chunk]:
        """See `tessy_openai.reading.Reader.end`."""
        if self.finished is not None:
            return []
        chunks = []
        if self._head is not None:
            chunks = self._give(self._marked.feed(self._take_head(), self._take_tokens()))
        if self.finished is None:
            finish = self._finish.get(reason or "stop", "aborted")
            # A reply that ends is no end of the reasoning: that is what the mark is for.
            if self._thinks and finish == "end_of_turn":
                finish = "length"
            chunks += self._give(self._marked.end(finish))
        return chunks

    def _settled(self) -> bool:
        """Whether the reply cannot be a repetition any more."""
        head = (self._head or "").lstrip()
        return len(head) >= _SHORTEST and head[:_SHORTEST] not in self._before

    def _take_head(self) -> str:
        head, self._head = self._head or "", None
        return join_on(self._before, head)

    def _take_tokens(self) -> int:
        tokens, self._tokens = self._tokens, 0
        return tokens

    def _give(self, chunk: Chunk | None) -> list[Chunk]:
        if chunk is None:
            return []
        self.finished = chunk.finish
        return [replace(chunk, via="instructed")]


def join_on(before: str, reply: str) -> str:
    """``reply`` as the continuation of ``before``: without what it repeats, with the space that it lacks."""
    text = reply.lstrip("\n") if before.endswith("\n") else reply
    bare = text.lstrip()
    for length in range(min(len(before), len(bare)), _SHORTEST - 1, -1):
        if before.endswith(bare[:length]):
            return bare[length:]
    if bare == text and before[-1:].strip() and bare[:1].isalnum() and not _begun(before):
        return " " + text
    return text


def _begun(before: str) -> bool:
    """Whether the text ends inside a word; cuts fall at the ends of words, so only a hyphen tells."""
    return before.endswith(("-", "/", "_", "(", "[", "{", "\\", "$", '"', "'"))
