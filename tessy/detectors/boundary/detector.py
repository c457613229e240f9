"""Detector ``boundary``: a small network over words, trained on labelled thinking of many models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from tessy.abc import Options, StyleDetector
from tessy.detectors.boundary.kernel import compiled
from tessy.detectors.boundary.net import Net, Network
from tessy.detectors.boundary.reading import Ahead, Reading, Word, begin_before
from tessy.detectors.boundary.weights import DEFAULT, Weights, load
from tessy.errors import ConfigError
from tessy.types import Json, Label, Window

__all__ = ["BoundaryDetector", "BoundaryOptions"]

REACH = 12
"""Characters that a word of lookahead may have with the space before it; what is longer is cut off."""
_MEMORY = 6
"""Words in a row that may be unsure and take the label of the one before them."""
_TEXTS = 4096
"""Trajectories whose state is kept; the longest unused are forgotten, and read anew when they return."""
# How often it is right with what it says, measured on labelled segments (tests/bench/bench_boundary.py).
_P = {True: (0.65, 0.99), False: (0.73, 0.99)}
_CLEAR = 2.0
# A guess: logits from which on it bets on a word with 0, 1, 2 known to its right; what a word must say by
# itself to be looked at. Of cuts 98.8 % are then seen early, at 0.05 false ones a cut.
_BET = (1.0, 0.5, 0.3)
_ALONE = 0.5
_GIVEN = 99.0


class BoundaryOptions(Options):
    """Options of detector ``boundary``."""

    look: Literal[0, 1, 2, 4] = Field(
        default=2, description="words to the right that it sees before it labels one: 0, 1, 2 or 4"
    )


@dataclass(slots=True)
class _Job:
    """A window in work: its words that can be decided about, the numbers of what is seen of each.

    ``asked``: a guess will be asked for, as it was for the one before.
    """

    window: Window
    reading: Reading
    words: list[Word]
    seen: list[int]
    asked: bool


class BoundaryDetector(StyleDetector):
    """Labels word by word with a small causal network; white space belongs to the word that follows it.

    A word is decided about when the next ``look`` words are known, at the latest ``lookahead`` characters
    on. What it says depends on some twenty words to the left, so a trace costs the same wherever it is read.
    ``model``: a folder that ``tessy detector train`` wrote; without it, the weights shipped with tessy.
    """

    Options: ClassVar[type[BoundaryOptions]] = BoundaryOptions
    options: BoundaryOptions
    by_words = True

    def __init__(self, options: BoundaryOptions, *, model: str | None = None) -> None:
        super().__init__(options, model=model)
        self.lookahead = REACH * options.look
        self._weights: Weights | None = None
        self._readings: dict[str, Reading] = {}
        self._free: list[int] = []
        self._slots = 0

    async def start(self) -> None:
        """Load the weights.

        Raises:
            ConfigError: the folder holds none, or none for that ``look``.
        """
        self.prepare()

    def prepare(self) -> None:
        """The same as `start`, for callers without an event loop."""
        if self._weights is not None:
            return
        folder = Path(self.model).expanduser() if self.model else DEFAULT
        weights = load(folder)
        if self.options.look not in weights.shape.looks:
            looks = ", ".join(map(str, weights.shape.looks))
            raise ConfigError(
                f"detector boundary: look={self.options.look}: {folder} was trained for {looks}"
            )
        look = self.options.look
        self._net: Network = compiled(weights, look) or Net(weights, look)
        self._numbers = self._net.vectors.numbers
        shown = weights.shape.looks
        self._shown = [max(i for i, words in enumerate(shown) if words <= n) for n in range(look + 1)]
        self._hold = weights.shape.hold
        self._back = weights.shape.history + _MEMORY
        self._alone: dict[int, float] = {}  # what words say that stand for themselves, by number
        self._nowhere = self._slot()  # where nothing is read
        self._weights = weights

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        """Label a batch, at once."""
        return self.read(windows)

    def read(self, windows: Sequence[Window]) -> list[list[Label]]:
        """The labels of several windows; the same as `label`, for callers without an event loop."""
        self.prepare()
        if self._net.vectors.tidy():
            self._alone.clear()
            for key in list(self._readings):
                self.forget(key)
        jobs = [self._job(window) for window in windows]
        logits, at, result = self._logits(jobs), 0, []
        for job in jobs:
            end = at + len(job.words)
            result.append(self._labels(job, logits[at:end]))
            at = end
            self._keep(job)
        return result

    def guess(self, window: Window) -> list[Label]:
        """The words that it would bet on, up to the first that it would not."""
        reading = self._readings.get(window.key)
        if reading is None or reading.text != window.text:
            return []
        reading.asked = True
        ahead = reading.ahead
        if ahead is None:
            ahead = reading.ahead = reading.undecided(self.options.look, self._numbers)
        if not self._turns(ahead, reading.style):
            return []
        if ahead.logits is None:
            ahead.logits = self._net.go_on(ahead.seen, reading.slot, self._looks(ahead), keep=0)
        said: list[tuple[int, bool, float]] = []
        for (_, end, _, given), logit, n in zip(ahead.words, ahead.logits, ahead.right, strict=True):
            if given is not None:
                logit = _GIVEN if given else -_GIVEN
            if abs(logit) < _BET[min(n, len(_BET) - 1)]:
                break
            said.append((end, logit > 0, _P[logit > 0][False]))
        return _merged(said, window.new_from)

    def _turns(self, ahead: Ahead, style: bool) -> bool:
        """Whether a stretch might end among these words."""
        known = self._alone
        for _, _, number, given in ahead.words:
            if given is not None:
                if given != style:
                    return True
                continue
            # Two words in three do not, as they say wherever they stand.
            alone = known.get(number)
            if alone is None:
                alone = self._said_alone(number)
            if alone < _ALONE if style else alone > -_ALONE:
                return True
        return False

    def _looks(self, ahead: Ahead) -> list[int]:
        """For each word, which of the network's looks fits what is seen of it."""
        return [self._shown[n] for n in ahead.right]

    def _said_alone(self, number: int) -> float:
        """What a word says that stands for itself."""
        seen = [number] + [0] * self.options.look
        alone = self._alone[number] = self._net.go_on(seen, self._nowhere, [0], keep=0)[0]
        return alone

    def forget(self, key: str) -> None:
        reading = self._readings.pop(key, None)
        if reading is not None:
            self._free.append(reading.slot)

    def identity(self) -> Mapping[str, Json]:
        """Options and the weights' own notes; two folders of equal weights are equal."""
        self.prepare()
        assert self._weights is not None
        return {"options": self.options.model_dump(mode="json"), "weights": self._weights.digest}

    def _job(self, window: Window) -> _Job:
        """What is new of a window, going on where its text was left if it is still the same."""
        reading = self._readings.pop(window.key, None)
        text, at, final = window.text, window.new_from, window.final
        if reading is None or not reading.follows(window, self._back):
            slot = self._slot() if reading is None else reading.slot
            self._net.clear(slot)
            reading = Reading(window.anchor, slot)
            reading.begin(begin_before(text, at, self._back))
        numbers = self._numbers
        reading.see(text, numbers, final=final)
        asked, reading.asked, reading.ahead = reading.asked and not final, False, None
        words, seen = reading.decide(self.options.look, self.lookahead, numbers, final=final)
        return _Job(window, reading, words, seen, asked)

    def _logits(self, jobs: Sequence[_Job]) -> list[float]:
        """Of all words of all jobs, one job after the other."""
        busy = [job for job in jobs if job.words]
        if not busy:
            return []
        if len(busy) == 1 and busy[0].asked:
            return self._logits_and_ahead(busy[0])
        seen = list(chain.from_iterable(job.seen for job in busy))
        slots, counts = [job.reading.slot for job in busy], [len(job.words) for job in busy]
        return self._net.logits(seen, slots, counts)

    def _logits_and_ahead(self, job: _Job) -> list[float]:
        """Of its words; and of those behind, for the guess that will be asked for: a pass less."""
        reading, words, net = job.reading, len(job.words), self._net
        ahead = reading.ahead = reading.undecided(self.options.look, self._numbers)
        seen, looks = job.seen, None
        if turns := self._turns(ahead, reading.style):
            seen = seen + ahead.seen
            looks = [self._shown[-1]] * words + self._looks(ahead)
        logits = net.go_on(seen, reading.slot, looks, keep=words)
        if turns:
            ahead.logits = logits[words:]
        return logits[:words]

    def _labels(self, job: _Job, logits: Sequence[float]) -> list[Label]:
        """The labels of a job's text from ``new_from`` on, neighbours that say the same in one."""
        reading, begin, length = job.reading, job.window.new_from, len(job.window.text)
        said = [word for word in reading.said if word[0] > begin]
        leave, enter = self._hold
        style, sure, unsure = reading.style, reading.sure, reading.unsure
        for (_, end, _, given), logit in zip(job.words, logits, strict=True):
            if given is not None:
                logit = _GIVEN if given else -_GIVEN
            if logit > enter or logit < -leave:
                sure, unsure = logit > 0, 0
            else:
                unsure += 1
            style = sure if sure is not None and unsure < _MEMORY else logit > 0
            said.append((end, style, _P[style][(logit if style else -logit) > _CLEAR]))
            reading.at = end
        reading.style, reading.sure, reading.unsure = style, sure, unsure
        reading.said, reading.since = said, begin
        if job.window.final and max(reading.at, begin) < length:  # white space at the very end
            said.append((length, style, _P[style][False]))
        return _merged(said, begin)

    def _keep(self, job: _Job) -> None:
        key = job.window.key
        if job.window.final or key in self._readings:
            self._free.append(job.reading.slot)
            return
        self._readings[key] = job.reading
        if len(self._readings) > _TEXTS:
            self.forget(next(iter(self._readings)))

    def _slot(self) -> int:
        if not self._free:
            self._free = list(range(2 * self._slots + 63, self._slots - 1, -1))
            self._slots = 2 * self._slots + 64
            self._net.grow(self._slots)
        return self._free.pop()


def _merged(said: Sequence[tuple[int, bool, float]], begin: int) -> list[Label]:
    """Labels from ``begin`` on: words that say the same in one."""
    labels: list[Label] = []
    at, style, sure = begin, False, -1.0
    for end, is_style, p in said:
        if end > begin:
            if (p != sure or is_style != style) and sure >= 0:
                labels.append(Label(begin, at, style, sure))
                begin = at
            at, style, sure = end, is_style, p
    if sure >= 0:
        labels.append(Label(begin, at, style, sure))
    return labels
