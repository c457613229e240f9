"""The simulated models' vocabulary: every word that they write is one token, other text is a token a byte.

It is written to a folder as a Hugging Face tokenizer with a chat template, for clients to load: the server
names the folder as vLLM does, as the ``root`` of its model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tessy.formats import ChatFormat, load_template
from tessy.testing.scripted import STYLE_WORDS
from tessy.tokens.files import ModelFiles, load_model_files

__all__ = ["NUMBERS", "Vocabulary"]

NUMBERS = 1000
"""Words of capability and of answers: ``c0`` … ``c999``, ``a0`` … ``a999``."""

_END, _START, _THINK, _CLOSE = "<|im_end|>", "<|im_start|>", "<think>", "</think>"
# A line break, or several, is a piece; so is a word with the space before it. As in published tokenizers, no
# piece reaches over a line break.
_PIECE = r"[\r\n]+| ?[^\s]+|\s"


class Vocabulary:
    """The vocabulary, written to ``folder``.

    Attributes:
        files: the folder's content as a client reads it.
        style, capability, answer: ids of words with the space before them; ``bare`` has those without.
    """

    def __init__(self, folder: Path) -> None:
        self._pieces = _pieces()
        _write(folder, self._pieces)
        self.files: ModelFiles = load_model_files(str(folder))
        self.style: Sequence[int] = [self._pieces[f" {word}"] for word in STYLE_WORDS]
        self.capability: Sequence[int] = [self._pieces[f" c{i}"] for i in range(NUMBERS)]
        self.answer: Sequence[int] = [self._pieces[f" a{i}"] for i in range(NUMBERS)]
        names = {i: piece for piece, i in self._pieces.items()}
        spaced = [*self.style, *self.capability, *self.answer]
        self.bare: Mapping[int, int] = {i: self._pieces[names[i][1:]] for i in spaced}
        self.line: int = self._pieces["\n"]
        self.lines: int = self._pieces["\n\n"]
        self.think: int = self._control(_THINK)
        self.close: int = self._control(_CLOSE)
        self.end: int = self._control(_END)

    def encode(self, text: str) -> list[int]:
        """Text in which control strings mean what they say, as servers take it."""
        return self.files.codec.encode_control(text)

    def text(self, token: int) -> str:
        """A token as a server shows it."""
        return self.files.codec.token_text(token)

    @cached_property
    def format(self) -> ChatFormat:
        """How prompts are laid out."""
        return self.files.format()

    @cached_property
    def size(self) -> int:
        """One more than the highest id."""
        return self.files.codec.size

    def _control(self, text: str) -> int:
        (token,) = self.encode(text)
        return token


def _pieces() -> dict[str, int]:
    """Bytes first, then words."""
    words = [*STYLE_WORDS, *(f"{kind}{i}" for kind in "ca" for i in range(NUMBERS))]
    known = [chr(byte) for byte in range(128)]
    texts = [text for word in words for text in (f" {word}", word)] + ["\n\n"]
    pieces = {text: i for i, text in enumerate(known)}
    for text in texts:
        pieces.setdefault(text, 128 + len(pieces))
    return pieces


def _write(folder: Path, pieces: Mapping[str, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    controls = [(_START, True), (_END, True), (_THINK, False), (_CLOSE, False)]
    shown = _shown()
    vocab = {shown[byte]: byte for byte in range(256)}
    vocab.update({"".join(shown[byte] for byte in text.encode()): i for text, i in pieces.items()})
    first = 1 + max(vocab.values())
    added = [_added(first + i, text, special) for i, (text, special) in enumerate(controls)]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": _PIECE}, "behavior": "Isolated", "invert": False},
                _byte_level(),
            ],
        },
        "post_processor": None,
        "decoder": _byte_level(),
        # With no merges a piece is a token if it stands in the vocabulary, else it is its bytes.
        "model": {"type": "BPE", "vocab": vocab, "merges": [], "ignore_merges": True},
    }
    end = next(token["id"] for token in added if token["content"] == _END)
    documents: Mapping[str, Any] = {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": {"eos_token": _END, "chat_template": load_template("chatml-think")},
        "generation_config.json": {"eos_token_id": end},
        "config.json": {"eos_token_id": end, "vocab_size": first + len(added)},
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def _added(token: int, text: str, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": text, "special": special, **flags}


def _byte_level() -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def _shown() -> Sequence[str]:
    """Byte-level BPE writes each byte as a printable character: itself, or the next one from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) if byte in visible else chr(0x100 + hidden.index(byte)) for byte in range(256)]
