"""How well predicted style spans agree with given ones.

Everything is counted over words (what stands between white space; a word is style if a span touches it):

- *precision, recall, F1 of style*: over words.
- *boundary F1*: boundaries are the words at which the label changes. Beginnings and ends of style are
  matched one to one, each with its own kind, at most 0 or 1 word apart.
- *cuts*: in synthesis the author of a stretch writes on until the detector sees the other label. For each
  stretch that ends inside a segment: where would the span have ended, in characters too early (kept too
  little) or too late (the wrong author wrote on)? A stretch whose end is not seen at all is late up to the
  segment's end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

from tessy.labelling.segments import Segment, Span
from tessy.labelling.words import boundaries, word_labels, words

__all__ = ["FIGURES", "Counts", "count", "cut_errors", "figures", "matched", "measure", "total"]

FIGURES = (
    "precision",
    "recall",
    "f1",
    "boundary_f1",
    "boundary_f1_1",
    "cut_exact",
    "cut_early",
    "cut_late",
)
"""The names of the figures: shares from 0 to 1, but ``cut_early`` and ``cut_late``, mean characters a cut."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a segment adds to the figures; counts of several segments are summed.

    Attributes:
        hits, found, wanted: style words right, predicted, given.
        words: all words.
        exact, close: boundaries matched at 0 words, at most 1 word off.
        edges_found, edges_wanted: boundaries predicted, given.
        cuts, cuts_exact: stretches that end inside the segment, those ended at the right word.
        early, late: characters that their ends are off in all.
    """

    hits: int = 0
    found: int = 0
    wanted: int = 0
    words: int = 0
    exact: int = 0
    close: int = 0
    edges_found: int = 0
    edges_wanted: int = 0
    cuts: int = 0
    cuts_exact: int = 0
    early: int = 0
    late: int = 0


def measure(segments: Sequence[Segment], predicted: Sequence[Sequence[Span]]) -> dict[str, float]:
    """The figures of predictions, in the order of their segments."""
    pairs = zip(segments, predicted, strict=True)
    return figures(total(count(segment.text, segment.spans, spans) for segment, spans in pairs))


def count(text: str, wanted: Sequence[Span], found: Sequence[Span]) -> Counts:
    """Count one segment; spans ascend and do not overlap."""
    at = words(text)
    gold, ours = word_labels(at, wanted), word_labels(at, found)
    exact = close = edges_found = edges_wanted = 0
    for style in (True, False):
        theirs, mine = boundaries(gold, style=style), boundaries(ours, style=style)
        exact += matched(mine, theirs, 0)
        close += matched(mine, theirs, 1)
        edges_found += len(mine)
        edges_wanted += len(theirs)
    errors = [error for _, error in cut_errors(at, gold, ours)]
    return Counts(
        hits=sum(a and b for a, b in zip(ours, gold, strict=True)),
        found=sum(ours),
        wanted=sum(gold),
        words=len(at),
        exact=exact,
        close=close,
        edges_found=edges_found,
        edges_wanted=edges_wanted,
        cuts=len(errors),
        cuts_exact=errors.count(0),
        early=-sum(error for error in errors if error < 0),
        late=sum(error for error in errors if error > 0),
    )


def matched(found: Sequence[int], wanted: Sequence[int], reach: int) -> int:
    """How many pairs at most ``reach`` apart can be made of two ascending lists, each used once."""
    i = j = pairs = 0
    while i < len(found) and j < len(wanted):
        if abs(found[i] - wanted[j]) <= reach:
            i, j, pairs = i + 1, j + 1, pairs + 1
        elif found[i] < wanted[j]:
            i += 1
        else:
            j += 1
    return pairs


def cut_errors(at: Sequence[Span], gold: Sequence[bool], ours: Sequence[bool]) -> Iterator[tuple[bool, int]]:
    """For each stretch that ends inside the text: whether it is style, and how far off its end would be.

    In characters; negative: too early. The author starts where the stretch begins and is stopped at the
    first word that the detector gives to the other.
    """
    begin = 0
    for i in range(1, len(gold)):
        if gold[i] == gold[begin]:
            continue
        style = gold[begin]
        cut = next((k for k in range(begin, len(ours)) if ours[k] != style), len(ours))
        where = at[cut][0] if cut < len(at) else at[-1][1]
        yield style, where - at[i][0]
        begin = i


def total(counts: Iterable[Counts]) -> Counts:
    """The sum."""
    columns = zip(*map(astuple, counts), strict=True)
    return Counts(*map(sum, columns))


def figures(counts: Counts) -> dict[str, float]:
    """The figures named in `FIGURES`. Nothing to find and nothing found is 1."""
    return figures_of(astuple(counts))


def figures_of(sums: Sequence[int]) -> dict[str, float]:
    """The same from the bare numbers, in the order of the fields of `Counts`."""
    hits, found, wanted, _, exact, close, edges_found, edges_wanted, cuts, right, early, late = sums
    values: Mapping[str, float] = {
        "precision": _share(hits, found) if found or not wanted else 0.0,
        "recall": _share(hits, wanted),
        "f1": _share(2 * hits, found + wanted),
        "boundary_f1": _share(2 * exact, edges_found + edges_wanted),
        "boundary_f1_1": _share(2 * close, edges_found + edges_wanted),
        "cut_exact": _share(right, cuts),
        "cut_early": early / cuts if cuts else 0.0,
        "cut_late": late / cuts if cuts else 0.0,
    }
    return dict(values)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
