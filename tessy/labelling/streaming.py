"""Style spans of whole texts, as they would come out of a stream: through the same code as in a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING

from tessy.builtin import DEFAULT_DETECTOR
from tessy.config import Maker
from tessy.detection import Detection
from tessy.draft import Draft
from tessy.labelling.segments import Span
from tessy.seam import place
from tessy.spec import Spec
from tessy.types import Chunk, Label, Role, Turn

if TYPE_CHECKING:
    from tessy.plugins import Registry

__all__ = ["detecting", "label_stretches", "label_text", "label_texts", "style_spans"]

_PIECE = 512
"""Characters that are fed at a time; labels do not depend on it."""
_AT_ONCE = 64


@asynccontextmanager
async def detecting(spec: str | None, registry: Registry) -> AsyncIterator[Detection]:
    """The detector of a SPEC (``None``: a run's default), started; closed at the end.

    Raises:
        ConfigError: the SPEC, the plugin or an option is wrong, or its model cannot be loaded.
    """
    chosen = Spec.parse("detector", spec or DEFAULT_DETECTOR)
    detector = Maker(registry).detector(chosen)
    detection = Detection(detector, registry.origin("detector", chosen.name))
    try:
        await detection.start()
        yield detection
    finally:
        await detection.close()


async def label_texts(
    detection: Detection, texts: Iterable[tuple[str, Role]]
) -> AsyncIterator[tuple[Span, ...]]:
    """The style spans of each text by its author, in order; many texts stream side by side.

    Raises:
        PluginError: the detector failed on a text (in an `ExceptionGroup`).
    """
    queue = enumerate(texts)
    while batch := list(islice(queue, _AT_ONCE)):
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(label_text(detection, str(n), text, author)) for n, (text, author) in batch
            ]
        for task in tasks:
            yield task.result()


async def label_text(detection: Detection, key: str, text: str, author: Role) -> tuple[Span, ...]:
    """The style spans of one text, fed in pieces; ``key`` is unique among those under way."""
    return style_spans(text, await _labels(detection, key, text, author))


async def label_stretches(detection: Detection, key: str, text: str, author: Role) -> tuple[Span, ...]:
    """The same from seam to seam, white space included: every character is within one, or is capability."""
    labels = await _labels(detection, key, text, author)
    return tuple((begin, stop) for begin, stop, style in _stretches(text, labels) if style and begin < stop)


async def _labels(detection: Detection, key: str, text: str, author: Role) -> Sequence[Label]:
    track, draft = detection.track(key), Draft(Turn(author, "think"))
    try:
        for at in range(0, len(text), _PIECE):
            draft.extend(Chunk(text[at : at + _PIECE]))
            await track.extend(draft)
        draft.extend(Chunk(finish="end_of_thinking"))
        await track.extend(draft)
    finally:
        track.close()
    return draft.labels


def style_spans(text: str, labels: Sequence[Label]) -> tuple[Span, ...]:
    """What labels call style: without white space around it, neighbours across white space joined.

    Stretches end where drafts would be cut: what a seam holds together is not parted.
    """
    spans: list[Span] = []
    for begin, stop, style in _stretches(text, labels):
        piece = text[begin:stop]
        if not style or not piece.strip():
            continue
        start = begin + len(piece) - len(piece.lstrip())
        end = stop - len(piece) + len(piece.rstrip())
        if spans and not text[spans[-1][1] : start].strip():
            start = spans.pop()[0]
        spans.append((start, end))
    return tuple(spans)


def _stretches(text: str, labels: Sequence[Label]) -> Iterator[tuple[int, int, bool]]:
    """Start, end and style of what is called alike, from seam to seam."""
    if not labels:
        return
    begin, style = labels[0].start, labels[0].style
    for label in labels:
        if label.style != style:
            at = place(text, label.start, start=begin)
            yield begin, at, style
            begin, style = at, label.style
    yield begin, max(begin, labels[-1].end), style
