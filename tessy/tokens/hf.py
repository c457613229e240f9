"""A Hugging Face tokenizer as a `Codec`, without transformers: for backends that speak in token ids.

Plain text is encoded with a copy of the tokenizer that knows no added tokens. Telling the tokenizer to
encode special tokens as text is not enough: tokens that were added without being special, such as Qwen3's
``<think>``, would still be matched in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

from tokenizers import Tokenizer

from tessy.errors import ConfigError

__all__ = ["HfCodec"]

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_MARK = re.compile(r"[<\[].*[>\]]", re.S)
_GUARD = "\n"
_REMEMBERED = 1024
"""Texts whose tokens are kept: a span is counted, then encoded; marks are encoded for every turn."""
_SHORT = 2048
"""Characters of those texts, at most."""


class HfCodec:
    """Text to tokens and back, keeping model text and control strings apart (see `Codec`).

    Args:
        source: the text of a ``tokenizer.json``.
        ends: ids of tokens that end a turn.
        name: for messages.

    Raises:
        ConfigError: it is no such tokenizer, or of a kind whose tokens are not pieces of text.
    """

    def __init__(self, source: str, *, ends: Collection[int] = (), name: str = "tokenizer.json") -> None:
        try:
            self._whole = Tokenizer.from_str(source)
            data = json.loads(source)
            self._plain = Tokenizer.from_str(json.dumps(_without_added(data)))
        except Exception as error:  # the library raises bare exceptions
            raise ConfigError(f"{name}: is not a tokenizer that can be read: {error}") from error
        self._ends = frozenset(ends)
        added = {token["id"]: token for token in data.get("added_tokens") or ()}
        self._special = {i: str(t["content"]) for i, t in added.items() if _commands(t)}
        self.controls: frozenset[str] = frozenset(text for text in self._special.values() if len(text) > 1)
        self._pieces = _pieces(data, name)
        self._pieces.update({i: str(t["content"]).encode() for i, t in added.items() if not _commands(t)})
        self._known_plain = lru_cache(_REMEMBERED)(self._plain_ids)
        self._known_whole = lru_cache(_REMEMBERED)(self._whole_ids)
        self._guard: tuple[int, ...] = ()
        if self.decode(self._plain_ids("a")) != b"a":
            # SentencePiece puts a space before a text; a line break in front keeps it from the fragment.
            self._guard = self._plain_ids(_GUARD)

    def encode(self, text: str) -> list[int]:
        """See `Codec.encode`."""
        if not text:
            return []
        ids = self._known_plain if len(text) <= _SHORT else self._plain_ids
        if not self._guard:
            return list(ids(text))
        return list(ids(_GUARD + text)[len(self._guard) :])

    def encode_control(self, text: str) -> list[int]:
        """See `Codec.encode_control`."""
        return list((self._known_whole if len(text) <= _SHORT else self._whole_ids)(text))

    def piece(self, token: int) -> bytes:
        """See `Codec.piece`."""
        return self._pieces.get(token, b"")

    def is_end(self, token: int) -> bool:
        """See `Codec.is_end`."""
        return token in self._ends

    @property
    def ends(self) -> frozenset[int]:
        """All tokens that end a turn."""
        return self._ends

    def bos(self) -> None:
        """``None``: a Hugging Face chat template renders the first token itself."""
        return None

    def decode(self, ids: Collection[int]) -> bytes:
        """The text of tokens, control tokens left out."""
        return b"".join(map(self.piece, ids))

    def token_text(self, token: int) -> str:
        """A token as it is shown to people: a control token by its name."""
        return self._special.get(token) or self.piece(token).decode("utf-8", "replace")

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return 1 + max(self._whole.get_vocab(with_added_tokens=True).values(), default=-1)

    @cached_property
    def vocabulary(self) -> str:
        """A hash over all tokens: equal where ids mean the same."""
        digest = sha256()
        vocab: Mapping[str, int] = self._whole.get_vocab(with_added_tokens=True)
        for text, i in sorted(vocab.items(), key=lambda item: (item[1], item[0])):
            digest.update(f"{i}\0{text}\0".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:16]

    def _plain_ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._plain.encode(text, add_special_tokens=False).ids)

    def _whole_ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._whole.encode(text, add_special_tokens=False).ids)


def _without_added(data: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer without its added tokens, and without what would put some around a text."""
    return {**data, "added_tokens": [], "post_processor": None, "truncation": None, "padding": None}


def _commands(token: Mapping[str, Any]) -> bool:
    """Whether an added token is a control string; some vocabularies also add runs of spaces, or words."""
    return bool(token.get("special")) or _MARK.fullmatch(str(token["content"])) is not None


def _pieces(data: Mapping[str, Any], name: str) -> dict[int, bytes]:
    """Every token of the model proper as bytes."""
    vocab = data["model"].get("vocab") or {}
    entries = vocab.items() if isinstance(vocab, dict) else ((entry[0], i) for i, entry in enumerate(vocab))
    kinds = _kinds(data.get("decoder"))
    if "ByteLevel" in kinds:
        table = _byte_table()
        return {i: _byte_level(text, table) for text, i in entries}
    if kinds & {"Metaspace", "ByteFallback", "Replace"}:
        return {i: _sentencepiece(text) for text, i in entries}
    raise ConfigError(
        f"{name}: its decoder ({', '.join(sorted(kinds)) or 'none'}) does not join tokens into text; "
        "byte-level BPE and SentencePiece tokenizers can be used"
    )


def _kinds(decoder: Mapping[str, Any] | None) -> set[str]:
    if decoder is None:
        return set()
    inner = decoder.get("decoders") or ()
    return {decoder["type"]}.union(*(_kinds(one) for one in inner))


def _byte_table() -> dict[str, int]:
    """Byte-level BPE writes each byte as a printable character: itself, or the next one from U+0100 on."""
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    table = {chr(byte): byte for byte in shown}
    hidden = (byte for byte in range(256) if byte not in shown)
    table.update({chr(0x100 + n): byte for n, byte in enumerate(hidden)})
    return table


def _byte_level(text: str, table: Mapping[str, int]) -> bytes:
    if all(char in table for char in text):
        return bytes(table[char] for char in text)
    return text.encode()


def _sentencepiece(text: str) -> bytes:
    if match := _BYTE.fullmatch(text):
        return bytes([int(match[1], 16)])
    return text.replace("\u2581", " ").encode()
