"""Figures of next-token distributions of which only the likeliest tokens are known. Natural logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

__all__ = ["Top", "divergence", "entropy"]

Top = Sequence[tuple[str, float]]
"""The likeliest tokens with their log-probabilities, best first (`tessy.TokenLogprob.top`)."""

_LEAST = 1e-12


def entropy(top: Top, *, rest: bool = True) -> float:
    """The entropy of a distribution, in nats.

    With ``rest`` all that is not listed counts as one more token: a lower bound of the whole entropy.
    Without it the listed tokens are taken for all there are.
    """
    p = [exp(logprob) for _, logprob in top]
    total = sum(p)
    if rest:
        p.append(max(0.0, 1 - total))
        total = max(1.0, total)
    return -sum(one / total * log(one / total) for one in p if one > 0)


def divergence(teacher: Top, student: Top) -> float:
    """KL(teacher ‖ student) in nats, from below: over the teacher's listed tokens and the rest as one more.

    A token that the student does not list is taken to be as likely as the last one that it does.
    """
    known = dict(student)
    least = student[-1][1] if student else 0.0
    p = [exp(logprob) for _, logprob in teacher]
    q = [exp(known.get(token, least)) for token, _ in teacher]
    p.append(max(0.0, 1 - sum(p)))
    q.append(max(_LEAST, 1 - sum(q)))
    return max(0.0, sum(a * log(a / max(b, _LEAST)) for a, b in zip(p, q, strict=True) if a > 0))
