"""A tiny vocabulary in pure Python: every byte, a few longer tokens, some that split characters."""

from __future__ import annotations

from tessy.tokens import split_controls

CONTROLS = ("<|s|>", "<|e|>", "<think>", "</think>", "<|channel|>", "<|message|>", "<|end|>", "<|bos|>")
MERGED = (b".\n", b"\n\n", b" the", b"Hmm", b"\xf0\x9f", b"\x8e\x89", b"a\xc3", b"</", b"think>")


class Vocabulary:
    """Greedy longest match; the ids of control tokens come last."""

    controls = frozenset(CONTROLS)

    def __init__(self) -> None:
        self.pieces = [bytes([i]) for i in range(256)] + list(MERGED)
        self.special = {text: len(self.pieces) + i for i, text in enumerate(CONTROLS)}
        self.ends = {self.special["<|e|>"]}

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in split_controls(text, self.controls):
            ids += self._plain(piece.encode())
        return ids

    def encode_control(self, text: str) -> list[int]:
        ids, at = [], 0
        while at < len(text):
            found = next((c for c in CONTROLS if text.startswith(c, at)), None)
            if found is not None:
                ids.append(self.special[found])
                at += len(found)
                continue
            end = min((i for c in CONTROLS if (i := text.find(c, at)) >= 0), default=len(text))
            ids += self._plain(text[at:end].encode())
            at = end
        return ids

    def piece(self, token: int) -> bytes:
        return self.pieces[token] if token < len(self.pieces) else b""

    def is_end(self, token: int) -> bool:
        return token in self.ends

    def bos(self) -> int | None:
        return self.special["<|bos|>"]

    def decode(self, ids: list[int]) -> str:
        names = {i: text for text, i in self.special.items()}
        return b"".join(names[i].encode() if i in names else self.pieces[i] for i in ids).decode()

    def _plain(self, data: bytes) -> list[int]:
        ids, at = [], 0
        longest = sorted(range(len(self.pieces)), key=lambda i: -len(self.pieces[i]))
        while at < len(data):
            token = next(i for i in longest if data.startswith(self.pieces[i], at))
            ids.append(token)
            at += len(self.pieces[token])
        return ids
