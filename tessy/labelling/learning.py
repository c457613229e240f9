"""Splits of labelled segments, and how a detector grows with them."""

from __future__ import annotations

from collections.abc import Sequence

from tessy.errors import ConfigError
from tessy.labelling.segments import Segment
from tessy.seeds import derive

__all__ = ["by_author", "nested", "split"]


def by_author(segments: Sequence[Segment], author: str | None) -> list[Segment]:
    """Those of one author; all of them for ``None``.

    Raises:
        ConfigError: there is none.
    """
    found = [segment for segment in segments if author in (None, segment.author)]
    if not found:
        raise ConfigError(f"no segment names {author!r} as its author")
    return found


def split(segments: Sequence[Segment], share: float, seed: int = 0) -> tuple[list[Segment], list[Segment]]:
    """Training and validation; where a segment goes depends on seed and id, not on the others."""
    ranked = _ranked(segments, seed)
    held = round(share * len(ranked)) if share else 0
    if share and len(ranked) > 1:
        held = min(max(1, held), len(ranked) - 1)
    return ranked[held:], ranked[:held]


def nested(segments: Sequence[Segment], points: int, seed: int = 0) -> list[list[Segment]]:
    """Growing parts for a learning curve, each half of the next and contained in it; the last is all."""
    ranked = _ranked(segments, seed)
    sizes = sorted({max(1, len(ranked) >> (points - 1 - i)) for i in range(points)})
    return [ranked[:size] for size in sizes]


def _ranked(segments: Sequence[Segment], seed: int) -> list[Segment]:
    return sorted(segments, key=lambda segment: (derive(seed, segment.id), segment.id))
