"""Stop strings are found here, in the stream, so that no backend has to know them."""

from __future__ import annotations

from collections.abc import Sequence

from tessy.draft import Draft

__all__ = ["find_stop"]


def find_stop(draft: Draft, stops: Sequence[str], fresh: int) -> int | None:
    """Where the first stop string that ends in the draft's last ``fresh`` characters ends."""
    text = draft.text
    ends = []
    for stop in stops:
        # It may have begun before the fresh text, also in what is committed: how the text arrived, and
        # where it was checkpointed, must not matter.
        begin = max(0, len(text) - fresh - len(stop) + 1)
        at = text.find(stop, begin)
        if at >= 0:
            ends.append(at + len(stop))
    return min(ends, default=None)
