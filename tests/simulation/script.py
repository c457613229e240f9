"""What the models would write: runs of style and of capability, in whatever Unicode tokens may fall into.

A token follows from the turn's seed, its place in the turn and its place in the phase, so a text that is
gone on with somewhere inside goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from tessy.seeds import derive
from tessy.types import Finish, Request

__all__ = ["token_id", "tokens"]

_STYLE = (
    " Hmm,", " wait,", " so", "\n\nAlright,", " okay.", " naïve", " 🙂",
    " 👩‍👩‍👧", " e\u0301h", "\n", " </think>",
    " <|im_end|>", " 嗯", " \u200bbut", "…", "!", "\u00a0let", " me see.\n", "\t", " را",
    "\r\n", " sim", "ply",
)  # fmt: skip
_CAPABILITY = (
    " c{}",
    " c{}",
    " c{}",
    " c{} =",
    " c{}\n",
    " c{},",
    " c{}\\frac{{1}}{{2}}",
    " c{}½",
    " c{}数",
    "{}",
)
_ANSWER = (" a{}", " a{}", " **a{}**", "\na{}", " a{}é", " </think>\n", " 答{}")


def tokens(
    request: Request, model: str, prompt: str, think: int, answer: int
) -> tuple[Iterator[str], Finish]:
    """The tokens up to the phase's natural end, and how that ends."""
    turn, phase = request.turn, request.turn.phase
    total = think if phase == "think" else answer
    begun = sum(span.tokens for span in request.spans if span.phase == phase)

    def write() -> Iterator[str]:
        for i in range(begun, total):
            seed = derive(request.seed, request.done + i - begun, model, turn.role)
            if phase == "answer":
                forms: tuple[str, ...] = _ANSWER
            else:
                forms = _STYLE if derive(prompt, i // 3) % 5 < 2 else _CAPABILITY
            yield forms[seed % len(forms)].format(seed % 89)

    return write(), "end_of_thinking" if phase == "think" else "end_of_turn"


def token_id(text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF
