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
    # What is complete before a place is what begins before it.
    assert token_offsets(pieces) == tuple(len(data[:a].decode("utf-8", "ignore")) for a in places)
