"""Where tokens begin in the text they make."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["token_offsets"]


def token_offsets(pieces: Iterable[bytes]) -> tuple[int, ...]:
    """The character (not byte) at which each token begins.

    One that continues a character begins where the token does in which that character begins: no cut may part
    them.

    An empty piece at the end begins behind the last character.
    """
    offsets: list[int] = []
    characters = 0
    for piece in pieces:
        inside = piece[:1] and piece[0] & 0xC0 == 0x80
        before = offsets[-1] if offsets else 0
        offsets.append(before if inside else characters)
        # Every byte that does not continue a character begins one.
        characters += sum(byte & 0xC0 != 0x80 for byte in piece)
    return tuple(offsets)
