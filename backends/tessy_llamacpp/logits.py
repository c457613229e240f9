"""Log-probabilities from a batch's logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import llama_cpp as lib
import numpy as np
import numpy.typing as npt

from tessy.types import TokenLogprob

if TYPE_CHECKING:
    from tessy_llamacpp.generation import Generation

__all__ = ["alternatives", "rate"]

Piece = Callable[[int], bytes]
Logprobs = npt.NDArray[np.float32]


def alternatives(
    context: lib.llama_context_p, index: int, n_vocab: int, token: int, top: int, piece: Piece
) -> TokenLogprob:
    """The token's log-probability and rank, and the ``top`` likeliest tokens at its place."""
    logprobs = _logprobs(context, index, n_vocab)
    return _entry(logprobs, token, top, piece)


def rate(
    generation: Generation, context: lib.llama_context_p, index: int, count: int, n_vocab: int, piece: Piece
) -> None:
    """Rate those tokens of the context that follow the decoded part ``index … index + count``."""
    first = len(generation.context) - generation.score
    begin = generation.at - count
    for position in range(max(begin, first - 1), min(generation.at, len(generation.context) - 1)):
        logprobs = _logprobs(context, index + position - begin, n_vocab)
        token = generation.context[position + 1]
        generation.logprobs.append(_entry(logprobs, token, generation.top, piece))


def _logprobs(context: lib.llama_context_p, index: int, n_vocab: int) -> Logprobs:
    logits = np.ctypeslib.as_array(lib.llama_get_logits_ith(context, index), (n_vocab,))
    shifted = logits - logits.max()
    found: Logprobs = shifted - np.log(np.exp(shifted).sum())
    return found


def _entry(logprobs: Logprobs, token: int, top: int, piece: Piece) -> TokenLogprob:
    own = float(logprobs[token])
    best: tuple[tuple[str, float], ...] = ()
    if top:
        count = min(top, len(logprobs))
        likely = np.argpartition(logprobs, -count)[-count:]
        ordered = likely[np.argsort(-logprobs[likely], kind="stable")]
        best = tuple((piece(int(i)).decode("utf-8", "replace"), float(logprobs[i])) for i in ordered)
    return TokenLogprob(own, int((logprobs > own).sum()) + 1, best)
