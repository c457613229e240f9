from __future__ import annotations

from collections.abc import Sequence

from helpers import WordDetector
from tessy.abc import Options
from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.labelling.bootstrap import intervals
from tessy.labelling.evaluation import evaluate
from tessy.labelling.metrics import FIGURES, count, figures, total
from tessy.labelling.segments import Segment
from tessy.types import Label, Window

TEXT = "hmm wait c1 c2 so c3 c4"
RIGHT = Segment("a", TEXT, ((0, 8), (15, 17)), "one", author="student")
SHORT = Segment("b", TEXT, ((0, 8),), "two", author="teacher")
LONG = Segment("c", TEXT, ((0, 14), (15, 17)), "two", author="teacher")


async def test_figures_families_cuts_and_confusions() -> None:
    detection = Detection(WordDetector(Options()), Origin("style detector", "words", "tests"))
    found = await evaluate(detection, [RIGHT, SHORT, LONG], examples=5, resamples=200)
    assert (found.segments, found.words) == (3, 21)
    assert set(found.figures) == set(FIGURES)
    assert found.family_segments == {"one": 1, "two": 2}
    assert found.families["one"]["f1"].value == 1
    for figure in found.figures.values():
        assert figure.low <= figure.value <= figure.high
    # The student's: "hmm wait" ends right twice, "so" once; "hmm wait c1 c2 so" 9 characters too early.
    assert (found.cuts["style"].cuts, found.cuts["style"].exact) == (4, 3 / 4)
    assert found.cuts["style"].percentiles["5"] == -9
    assert found.cuts["style"].mean_early == 9 / 4
    assert (found.cuts["capability"].cuts, found.cuts["capability"].exact) == (1, 1)
    wrong = {(one.words, one.style): (one.count, one.id) for one in found.confusions}
    assert wrong == {("so", False): (1, "b"), ("c1 c2", True): (1, "c")}


async def test_the_author_can_be_told() -> None:
    seen = set()

    class Watching(WordDetector):
        async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
            seen.update(window.author for window in windows)
            return await super().label(windows)

    detection = Detection(Watching(Options()), Origin("style detector", "words", "tests"))
    await evaluate(detection, [RIGHT, SHORT], resamples=0)
    assert seen == {"student", "teacher"}
    seen.clear()
    await evaluate(detection, [RIGHT, SHORT], resamples=0, author="student")
    assert seen == {"student"}


def test_intervals_hold_the_figure_and_shrink_with_more_segments() -> None:
    counts = [count(TEXT, RIGHT.spans, spans) for spans in ((), ((0, 8),), RIGHT.spans, ((0, 11),))]
    few, many = intervals(counts * 5, resamples=300), intervals(counts * 80, resamples=300)
    value = figures(total(counts))["f1"]
    for low, high in (few["f1"], many["f1"]):
        assert low < value < high
    assert many["f1"][1] - many["f1"][0] < few["f1"][1] - few["f1"][0]
    assert few == intervals(counts * 5, resamples=300)
    assert few != intervals(counts * 5, resamples=300, seed=1)
