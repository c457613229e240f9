"""Stop strings are found here, in the stream, so that no backend has to know them."""

from __future__ import annotations

from collections.abc import Sequence

from tessy.draft import Draft

__all__ = ["find_stop"]


def find_stop(draft: Draft, stops: Sequence[str], fresh: int) -> int | None:
    """Where the first stop string that ends in the draft's last ``fresh`` characters ends."""
    # It may have begun before the fresh text, also in what is committed: how the text arrived, and where it
    # was checkpointed, must not matter.
    shown = max(0, len(draft) - fresh - max(map(len, stops), default=0) + 1)
    text, ends = draft.since(shown), []
    for stop in stops:
        at = text.find(stop, max(0, len(text) - fresh - len(stop) + 1))
        if at >= 0:
            ends.append(shown + at + len(stop))
    return min(ends, default=None)
