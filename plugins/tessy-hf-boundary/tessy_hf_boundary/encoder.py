"""A model's tokenizer, for text in pieces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from tessy.errors import ConfigError
from tessy_hf_boundary.words import divides

__all__ = ["Encoded", "Encoder"]

_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")
_REMEMBERED = 1 << 16
"""Pieces whose tokens are kept: text repeats its words."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A piece's tokens; ``words`` lists (token, character) where another word begins inside it."""

    ids: tuple[int, ...]
    words: tuple[tuple[int, int], ...]


class Encoder:
    """Encodes pieces of model text, which never become control tokens: no added token is known here.

    Args:
        tokenizer: the model's own.

    Attributes:
        prefix, suffix: the special tokens that the model expects around a text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.prefix, self.suffix = _around(tokenizer)
        data = json.loads(tokenizer.to_str())
        data.update(added_tokens=[], post_processor=None, truncation=None, padding=None)
        self._plain = Tokenizer.from_str(json.dumps(data))
        self.encode = lru_cache(_REMEMBERED)(self._encode)

    @classmethod
    def load(cls, folder: Path, name: str) -> tuple[Encoder, int]:
        """The encoder of the model in ``folder``, and how many tokens its tokenizer allows.

        Raises:
            ConfigError: there is no tokenizer, or it is not one of the tokenizers library.
        """
        from transformers import AutoTokenizer

        where = f"detector hf-boundary: model {name!r}"
        # Without files of one, the library makes up a tokenizer that knows no word.
        if not any(next(folder.glob(pattern), None) for pattern in _FILES):
            raise ConfigError(f"{where}: has no tokenizer: no {', '.join(_FILES)}")
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True, use_fast=True
            )
            return cls(tokenizer.backend_tokenizer), int(tokenizer.model_max_length)
        except Exception as error:  # the library raises almost anything
            raise ConfigError(f"{where}: has no tokenizer that can be used: {_said(error)}") from error

    def _encode(self, piece: str) -> Encoded:
        found = self._plain.encode(piece, add_special_tokens=False)
        words, end = [], 0
        for token, (start, stop) in enumerate(found.offsets):
            if start >= end and divides(piece, start):  # not in the middle of a character
                words.append((token, start))
            end = max(end, stop)
        return Encoded(tuple(found.ids), tuple(words))


def _around(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    bare: Sequence[int] = tokenizer.encode("a", add_special_tokens=False).ids
    full: Sequence[int] = tokenizer.encode("a", add_special_tokens=True).ids
    for at in range(len(full) - len(bare) + 1):
        if list(full[at : at + len(bare)]) == list(bare):
            return tuple(full[:at]), tuple(full[at + len(bare) :])
    return (), ()


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
