"""Thinking of many kinds for detectors to read; written for this purpose."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

__all__ = ["LONG", "TEXTS", "cuttings"]

TEXTS: Mapping[str, str] = {
    "plain": (
        "Okay, let me see. The train leaves at 9:40 and drives 210 km at 84 km/h. "
        "Hmm, so 210 / 84 = 2.5 hours. "
        "Wait, it also stops for 12 minutes in Ulm. So it arrives at 12:22. Let me double-check that.\n\n"
        "9:40 + 2:30 = 12:10, plus 0:12 gives 12:22. Good."
    ),
    "numbered": (
        "Thinking process:\n\n1.  **Understand the request:** sort `items` by price, then by name.\n"
        "2.  **Plan:**\n    *   Use a tuple as the key: `(item.price, item.name)`.\n"
        "    *   Wait, prices may be None. Then they go last.\n\n3.  **Write it.**\n"
    ),
    "code": (
        "First, a helper:\n\n```python\ndef so(then: int) -> int:\n    # wait, okay\n"
        "    return then * 2\n```\n\n"
        "So `so(3)` is 6. Alternatively, I could write a lambda; but no. ```\nunclosed = True\n"
    ),
    "latex": (
        "We have $x^2 + \\frac{1}{x^2} = 7$, so \\(x + \\frac{1}{x} = 3\\). Therefore\n"
        "\\[\nx^3 + x^{-3} = 18.\n\\]\n"
        "Hmm, is that right? $27 - 9 = 18$. Yes.\\\\ | a | b |\n|---|---|\n| 1 | 2 |\n"
    ),
    "chinese": "好的，我们来看这个问题。首先，设x等于3，那么y等于7。等等，不对，应该是y=8。所以答案是24。",
    "japanese": "まず、問題を整理しましょう。うーん、速度は時速84キロなので、2時間半かかります。よし。",
    "emoji": (
        "Nice \U0001f389 so the flag \U0001f1e9\U0001f1ea and the family \U0001f468\u200d\U0001f469\u200d"
        "\U0001f467 stay whole\u2026 e\u0301te\u0301, nai\u0308ve \u2014 okay?"
    ),
    "one long word": "So " + "x" * 700 + " hmm, " + "0123456789" * 60 + " done",
    "blank": "  \n\n \t \n" + " " * 300 + "\n",
    "no words": "... --- !!! ??? ((( ))) \u200b\u00a0\u202f\u2060 \x00 \x1b[0m \\\\",
    "right to left": "حسنًا، لنفكر: 12 + 30 = 42. אוקיי, אז התשובה היא 42.",
    "one letter": "I",
}
LONG = "\n\n".join(
    TEXTS[name] for name in ("plain", "numbered", "code", "chinese", "plain", "latex", "emoji")
)
"""Longer than several of the blocks in which the core asks for labels."""


def cuttings(text: str, count: int, seed: int = 1) -> Iterator[list[str]]:
    """The text cut into pieces in so many ways: by character, by word, by chance."""
    yield list(text)
    yield [text]
    chance = random.Random(seed)
    for _ in range(count):
        most = chance.choice((2, 7, 30, 200))
        pieces, at = [], 0
        while at < len(text):
            end = at + chance.randint(1, most)
            pieces.append(text[at:end])
            at = end
        yield pieces
