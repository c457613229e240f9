"""Sampler chains: one a generation, reseeded at every block so that a turn can be resumed."""

from __future__ import annotations

from collections.abc import Sequence

import llama_cpp as lib

from tessy.seeds import BLOCK, block_seed
from tessy_llamacpp.native import holding
from tessy_llamacpp.options import Sampling

__all__ = ["Sampler"]

_SMALL = 20_000
"""Tokens of a vocabulary that is sampled in microseconds; a larger one would keep Python's lock too long."""
_sample_small = holding("llama_sampler_sample")
_SEEDS = 0xFFFFFFFF  # this one itself asks llama.cpp for a random seed


class Sampler:
    """Draws the tokens of one turn.

    Args:
        sampling: how.
        n_vocab: size of the vocabulary.
        seed: the turn's.
        done: tokens of the turn that were drawn before (`Request.done`).
        context: all tokens so far; penalties look at the last of them.
    """

    def __init__(
        self, sampling: Sampling, n_vocab: int, seed: int, done: int, context: Sequence[int]
    ) -> None:
        self._sampling = sampling
        self._n_vocab = n_vocab
        self._seed = seed
        self._drawn = done
        self._chain: lib.llama_sampler_p | None = None
        self._sample = _sample_small if n_vocab <= _SMALL else lib.llama_sampler_sample
        self._recent = list(context[-sampling.penalty_last_n :]) if self._penalises else []

    def draw(self, context: lib.llama_context_p, index: int) -> int:
        """The next token, from the logits at that place of the last batch."""
        if self._chain is None or self._drawn % BLOCK == 0:
            self._renew()
        token: int = self._sample(self._chain, context, index)
        self._drawn += 1
        if self._penalises:
            self._recent.append(token)
        return token

    def close(self) -> None:
        """Free the chain. Idempotent."""
        if self._chain is not None:
            lib.llama_sampler_free(self._chain)
            self._chain = None

    @property
    def _penalises(self) -> bool:
        s = self._sampling
        return s.penalty_last_n > 0 and (s.repeat_penalty, s.frequency_penalty, s.presence_penalty) != (
            1,
            0,
            0,
        )

    def _renew(self) -> None:
        self.close()
        s = self._sampling
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())

        def add(sampler: lib.llama_sampler_p) -> None:
            lib.llama_sampler_chain_add(chain, sampler)

        if self._penalises:
            add(
                lib.llama_sampler_init_penalties(
                    self._n_vocab, s.penalty_last_n, s.repeat_penalty, s.frequency_penalty, s.presence_penalty
                )
            )
        if s.temperature == 0:
            add(lib.llama_sampler_init_greedy())
        else:
            if s.top_k > 0:
                add(lib.llama_sampler_init_top_k(s.top_k))
            if s.top_p < 1:
                add(lib.llama_sampler_init_top_p(s.top_p, 1))
            if s.min_p > 0:
                add(lib.llama_sampler_init_min_p(s.min_p, 1))
            add(lib.llama_sampler_init_temp(s.temperature))
            # The seed of the block that this token belongs to, also when the turn is resumed inside it.
            block = self._drawn - self._drawn % BLOCK
            add(lib.llama_sampler_init_dist(block_seed(self._seed, block) % _SEEDS))
        for token in self._recent[-s.penalty_last_n :]:
            lib.llama_sampler_accept(chain, token)
        self._chain = chain
