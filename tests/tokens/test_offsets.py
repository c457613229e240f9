"""Where tokens begin, in characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessy.tokens import token_offsets


@given(st.text(max_size=30), st.lists(st.integers(0, 100), max_size=10))
def test_any_way_to_cut_a_text(text: str, cuts: list[int]) -> None:
    data = text.encode()
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]
    expected: list[int] = []
    for at in places:
        # Inside a character: no cut may part it from the token in which that character begins.
        inside = data[at : at + 1] and data[at] & 0xC0 == 0x80
        expected.append(expected[-1] if inside else len(data[:at].decode("utf-8", "ignore")))
    assert token_offsets(pieces) == tuple(expected)
