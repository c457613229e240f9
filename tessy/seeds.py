"""Seeds: every turn's randomness follows from the run's seed and the turn's place, never from timing."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["BLOCK", "block_seed", "derive", "request_seed"]

BLOCK = 256
"""Tokens between checkpoints of a long turn, and between reseedings of its sampler."""


def derive(*parts: object) -> int:
    """A 63-bit seed from any sequence of printable parts; stable across versions and machines."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1


def block_seed(seed: int, token: int) -> int:
    """The seed to sample the turn's ``token``-th token with, if that token begins a block of 256.

    Engines that sample in this process reseed at each block, so that a turn resumed at a checkpoint
    (always a multiple of `BLOCK` tokens) goes on exactly as the uninterrupted one does.
    """
    return seed if token < BLOCK else derive(seed, token // BLOCK)


def request_seed(seed: int, done: int) -> int:
    """The seed of a request that begins behind the turn's first ``done`` tokens.

    For engines that are seeded by request, not by position: a turn that is gone on with must not repeat the
    noise of its beginning.
    """
    return seed if done == 0 else derive(seed, "resumed", done)
