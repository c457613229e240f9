"""The evaluation of a detector on labelled segments, ready to be shown."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessy.detection import Detection
from tessy.labelling.bootstrap import intervals
from tessy.labelling.confusion import Confusion, confusions
from tessy.labelling.metrics import Counts, count, cut_errors, figures, total
from tessy.labelling.segments import Segment, Span
from tessy.labelling.streaming import label_texts
from tessy.labelling.words import word_labels, words

__all__ = ["CutErrors", "Evaluation", "Figure", "evaluate", "predict"]

_PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CutErrors:
    """How far off stretches of one kind would end, in characters; negative: too early.

    Attributes:
        cuts: how many stretches end inside a segment.
        exact, early, late: shares of them.
        mean_early, mean_late: characters over all cuts: lost, and written by the wrong author.
        percentiles: of the error, by percent.
    """

    cuts: int
    exact: float
    early: float
    late: float
    mean_early: float
    mean_late: float
    percentiles: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a detector is worth on a set of segments.

    Attributes:
        segments, words: how many.
        figures: by the names in `tessy.labelling.metrics.FIGURES`.
        families: the same for each family of models, where segments name theirs, and its segments.
        cuts: by the kind of stretch that ends: ``style`` is the student's, ``capability`` the teacher's.
        confusions: what it gets wrong most.
        words_per_second: speed of labelling, many texts side by side.
    """

    segments: int
    words: int
    figures: Mapping[str, Figure]
    families: Mapping[str, Mapping[str, Figure]]
    family_segments: Mapping[str, int]
    cuts: Mapping[str, CutErrors]
    confusions: Sequence[Confusion]
    words_per_second: float


async def predict(
    detection: Detection, segments: Sequence[Segment], author: str | None = None
) -> list[tuple[Span, ...]]:
    """The spans that a detector finds; ``author`` in place of the segments' own (default: teacher)."""
    texts = [(segment.text, author or segment.author or "teacher") for segment in segments]
    return [spans async for spans in label_texts(detection, texts)]


async def evaluate(
    detection: Detection,
    segments: Sequence[Segment],
    *,
    author: str | None = None,
    examples: int = 0,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Label all segments and compare.

    Args:
        detection: the detector, started.
        segments: with the spans that are right.
        author: whom all segments are taken to be by, in place of their own.
        examples: how many confusions to list.
        resamples: drawn for the intervals; 0: no intervals.
        seed: of the drawing.

    Raises:
        PluginError: the detector failed.
    """
    began = time.perf_counter()
    predicted = await predict(detection, segments, author)
    seconds = time.perf_counter() - began
    pairs = zip(segments, predicted, strict=True)
    counts = [count(segment.text, segment.spans, spans) for segment, spans in pairs]
    by_family: dict[str, list[Counts]] = defaultdict(list)
    for segment, one in zip(segments, counts, strict=True):
        if segment.family is not None:
            by_family[segment.family].append(one)
    number = sum(one.words for one in counts)
    return Evaluation(
        segments=len(segments),
        words=number,
        figures=_figures(counts, resamples, seed),
        families={name: _figures(by_family[name], resamples, seed) for name in sorted(by_family)},
        family_segments={name: len(by_family[name]) for name in sorted(by_family)},
        cuts=_cuts(segments, predicted),
        confusions=confusions(segments, predicted, examples),
        words_per_second=number / max(seconds, 1e-9),
    )


def _figures(counts: Sequence[Counts], resamples: int, seed: int) -> dict[str, Figure]:
    values = figures(total(counts))
    if not resamples:
        return {name: Figure(value, value, value) for name, value in values.items()}
    ranges = intervals(counts, resamples=resamples, seed=seed)
    return {name: Figure(value, *ranges[name]) for name, value in values.items()}


def _cuts(segments: Sequence[Segment], predicted: Sequence[Sequence[Span]]) -> dict[str, CutErrors]:
    errors: dict[bool, list[int]] = {True: [], False: []}
    for segment, spans in zip(segments, predicted, strict=True):
        at = words(segment.text)
        for style, error in cut_errors(at, word_labels(at, segment.spans), word_labels(at, spans)):
            errors[style].append(error)
    return {"style": _cut_errors(errors[True]), "capability": _cut_errors(errors[False])}


def _cut_errors(errors: Sequence[int]) -> CutErrors:
    n, ranked = max(1, len(errors)), sorted(errors)
    early, late = [e for e in errors if e < 0], [e for e in errors if e > 0]
    return CutErrors(
        cuts=len(errors),
        exact=(len(errors) - len(early) - len(late)) / n,
        early=len(early) / n,
        late=len(late) / n,
        mean_early=-sum(early) / n,
        mean_late=sum(late) / n,
        percentiles={
            str(percent): ranked[round(percent / 100 * (len(ranked) - 1))] if ranked else 0
            for percent in _PERCENTILES
        },
    )
