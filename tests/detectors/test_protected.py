"""What is never style is found in a growing text as it is in the whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessy.detectors.lexicon.units import Protected, protected

PIECES = st.sampled_from(["`", "``", "$", "$$", '"', "“", "”", "|", "\\", "#", "# ", "/", "// ", "(", ")", "[", "]", " ", "\n", "\n\n", "a", "1", ". "])  # fmt: skip # noqa: E501


@given(st.lists(PIECES, max_size=40), st.lists(st.integers(-9, 5), max_size=60))
def test_growing_and_going_back_make_no_difference(pieces: list[str], steps: list[int]) -> None:
    text, at, known = "".join(pieces), 0, Protected()
    for step in [*steps, len(text)]:
        at = min(len(text), max(0, at + step))
        seen = text[:at]
        assert list(known.read(seen, anchored=True)) == protected(seen, anchored=True)
