"""Tells tokenizers apart by what they do: how many tokens they make of some strings.

Unlike a hash over a vocabulary it is the same for one model in two engines and two file formats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["TOKENIZERS", "alike", "signature"]

TOKENIZERS = "tokenizers"
"""Under which a run's journal has the signatures of its models, by role."""

_TOLERATED = 2
_PROBES = (
    "Okay, let's see. Hmm, wait, I should double-check that the answer isn't off by one.",
    "Therefore, the derivative of the function vanishes at three distinct critical points.",
    "the quick brown fox jumps over thirteen lazy dogs while unbelievably extraordinary things happen",
    "1234567890 3.14159 2,718,281 0x7f 10^-9 1/3 100%",
    "def f(x: int) -> list[int]:\n    return [i ** 2 for i in range(x) if i % 3]\n",
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }\n\t\treturn sum;",
    r"\frac{\partial^2 u}{\partial x^2} \le \sum_{k=1}^{n} \alpha_k \cdot \mathbb{E}[X_k]",
    "SELECT id, count(*) FROM rows WHERE name LIKE '%x%' GROUP BY id;",
    "   spaces    and\n\n\nnewlines\r\n\ttabs ",
    "Größenordnung, naïve façade, señor, żółć",
    "Следовательно, ответ равен сорока двум.",
    "因此,答案是四十二。よって答えは四十二です。",
    "따라서 답은 마흔둘입니다. وبالتالي فإن الجواب هو اثنان وأربعون",
    "🙂👩‍🚀 ∀ε>0 ∃δ ≠ ∞ → ⊂ ℝ",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "don't won't I'll you've THE END HELLOWorld camelCase snake_case kebab-case",
)


def signature(count: Callable[[str], int | None]) -> list[int] | None:
    """What a tokenizer does, given how it counts tokens; ``None``: it does not count."""
    counts = [found for probe in _PROBES if (found := count(probe)) is not None]
    return counts if len(counts) == len(_PROBES) else None


def alike(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two signatures are of one tokenizer.

    Engines may take rare characters apart in other ways, so a few strings may differ; of two tokenizers
    most do.
    """
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) <= _TOLERATED
