"""The suite of style detectors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

import pytest

from tessy.abc import StyleDetector
from tessy.boundary import Origin
from tessy.detection import MAX_LOOKAHEAD, Detection
from tessy.draft import Draft
from tessy.labels import label_fault, labels_due
from tessy.testing.suites.base import Suite, on_loop
from tessy.testing.suites.checks import check_class, check_construction, check_identity, check_options
from tessy.testing.suites.loading import check_loading
from tessy.testing.suites.texts import LONG, TEXTS, cuttings
from tessy.types import Chunk, Label, Prompt, Role, Turn, Window

__all__ = ["StyleDetectorSuite"]


class StyleDetectorSuite(Suite, plugin="detector"):
    """What every style detector must keep; give a fixture ``detector`` with one that is not started.

    Nothing is asked about which labels are right: only that they are a function of the text, whole, and in
    time.

    Attributes:
        authors: roles whose text it can label.
        cuttings: ways in which each text is cut into chunks by chance.
        prompt: what the trajectories answer; a scorer may want to know.
    """

    authors: ClassVar[Sequence[Role]] = ("student", "teacher")
    cuttings: ClassVar[int] = 12
    prompt: ClassVar[Prompt | None] = Prompt.user("When does the train arrive, and what is 12 + 30?")

    @pytest.fixture
    def detector(self) -> StyleDetector:
        """The plugin: constructed, not started."""
        raise NotImplementedError("give the test class a fixture `detector` that returns an unstarted one")

    def window(
        self, key: str, author: Role, text: str, new_from: int = 0, final: bool = False, *, anchor: int = 0
    ) -> Window:
        """A stretch of a trajectory's thinking, to be labelled from ``new_from`` on."""
        return Window(key, author, anchor, text, new_from, final, self.prompt)

    # --- its life -------------------------------------------------------------------------------

    def test_the_class_fits_the_contract(self, detector: StyleDetector) -> None:
        """As the core looks at it when it loads the plugin."""
        check_class(detector, StyleDetector)

    def test_a_run_can_load_it(self, detector: StyleDetector) -> None:
        """Its package, in a fresh interpreter: the entry point, the hook, and the class that is tested."""
        check_loading(detector, self.entry_point, "detector")

    def test_construction_does_no_work(
        self, detector: StyleDetector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Loading is the business of `start`."""
        options, model = detector.options, detector.model
        check_construction(lambda: type(detector)(options, model=model), monkeypatch)

    def test_options_are_described_and_strict(self, detector: StyleDetector) -> None:
        """They have defaults, refuse what they do not know, and each says what it is."""
        check_options(type(detector).Options)

    def test_lookahead_is_sane(self, detector: StyleDetector) -> None:
        """A number of characters; each is generated, and thrown away, at every switch."""
        lookahead = detector.lookahead
        assert isinstance(lookahead, int)
        assert not isinstance(lookahead, bool)
        assert 0 <= lookahead <= MAX_LOOKAHEAD

    @on_loop
    async def test_close_is_idempotent(self, detector: StyleDetector) -> None:
        """Before `start`, after it, and twice."""
        await detector.close()
        async with _started(detector):
            pass
        await detector.close()

    @on_loop
    async def test_identity_is_safe_to_publish(self, detector: StyleDetector) -> None:
        """JSON without a path, equal each time: it stands in the run directory."""
        async with _started(detector):
            check_identity(detector.identity, detector.model, None)

    # --- labels of a window ---------------------------------------------------------------------

    @on_loop
    async def test_labels_tile_the_new_text(self, detector: StyleDetector) -> None:
        """From ``new_from`` on, without gap, as far as is due; with ``final``, to the end."""
        async with _started(detector):
            for name, text in TEXTS.items():
                for author in self.authors:
                    for new_from in sorted({0, len(text) // 3, max(0, len(text) - 5), len(text)}):
                        for final in (False, True):
                            window = self.window(f"{name}/{new_from}/{final}", author, text, new_from, final)
                            (labels,) = await detector.label([window])
                            fault = label_fault(labels, window, detector.lookahead)
                            assert fault is None, f"{name}, {window.new_from=}, {final=}: {fault}"

    @on_loop
    async def test_empty_text(self, detector: StyleDetector) -> None:
        """No text, no label."""
        async with _started(detector):
            for final in (False, True):
                (labels,) = await detector.label([self.window("k", self.authors[0], "", 0, final)])
                assert not any(label.end > label.start for label in labels)

    @on_loop
    async def test_labels_never_change(self, detector: StyleDetector) -> None:
        """A label given once stands, whatever follows."""
        chance = random.Random(2)
        async with _started(detector):
            for name, text in TEXTS.items():
                for author in self.authors:
                    whole = await self._label(detector, text, author, final=True)
                    for end in chance.sample(range(len(text)), min(24, len(text))):
                        early = await self._label(detector, text[:end], author)
                        assert early == whole[: len(early)], (
                            f"{name}: what it says of {text[:end]!r:.60} it takes back once more is known"
                        )

    @on_loop
    async def test_nothing_beyond_the_lookahead_matters(self, detector: StyleDetector) -> None:
        """A whole word's label depends on no more than ``lookahead`` characters right of it."""
        tails = (" Hmm, wait. So", "x7", ".\n\n12 + 30 = 42", "，等等")
        async with _started(detector):
            for name in ("plain", "numbered", "latex", "emoji"):
                text, author = TEXTS[name], self.authors[0]
                for end in range(20, len(text), max(1, len(text) // 8)):
                    due = labels_due(self.window("", author, text[:end]), detector.lookahead)
                    found = [
                        (await self._label(detector, text[:end] + tail, author, final=True))[:due]
                        for tail in tails
                    ]
                    for tail, labels in zip(tails, found, strict=True):
                        assert labels == found[0], (
                            f"{name}: what follows after {end} changes labels before {due}: {tail!r}"
                        )

    @on_loop
    async def test_labels_do_not_depend_on_where_they_are_asked_from(self, detector: StyleDetector) -> None:
        """``new_from`` says what is wanted, not what is known."""
        async with _started(detector):
            for name in ("plain", "code", "emoji", "chinese"):
                text, author = TEXTS[name], self.authors[0]
                whole = await self._label(detector, text, author, final=True)
                for new_from in range(0, len(text), max(1, len(text) // 12)):
                    window = self.window(f"{name}/{new_from}", author, text, new_from, final=True)
                    (labels,) = await detector.label([window])
                    assert _flat(labels) == whole[new_from:], (name, new_from)

    @on_loop
    async def test_left_of_the_anchor_nothing_matters(self, detector: StyleDetector) -> None:
        """What was seen before under the key changes nothing: a resumed run has not seen it."""
        async with _started(detector):
            author, anchor = self.authors[0], len(TEXTS["plain"])
            text = TEXTS["numbered"] + TEXTS["code"]
            seen = TEXTS["plain"]
            await detector.label([self.window("seen", author, seen, 0)])
            for key in ("seen", "fresh"):
                (labels,) = await detector.label([self.window(key, author, text, 0, True, anchor=anchor)])
                if key == "seen":
                    before = _flat(labels)
                else:
                    assert _flat(labels) == before

    # --- labels of a stream ---------------------------------------------------------------------

    @on_loop
    async def test_chunks_do_not_matter(self, detector: StyleDetector) -> None:
        """However a text arrives, through the core's own windows, its labels are the same."""
        async with _started(detector) as service:
            for name, text in {**TEXTS, "long": LONG}.items():
                # By character costs a call each; the long text shows what it must at random.
                ways = list(cuttings(text, self.cuttings))[1 if len(text) > 600 else 0 :]
                found = [await self._stream(service, f"{name}/{i}", way) for i, way in enumerate(ways)]
                for way, labels in zip(ways, found, strict=True):
                    assert labels == found[0], f"{name}: other labels when it arrives as {way[:8]} …"

    @on_loop
    async def test_guesses_change_nothing(self, detector: StyleDetector) -> None:
        """What it guesses are labels of the text so far; and what it says later is the same without."""
        if type(detector).guess is StyleDetector.guess:
            pytest.skip("it does not guess")  # the contract leaves it free to
        async with _started(detector):
            for name, text in TEXTS.items():
                said: dict[bool, list[bool]] = {True: [], False: []}
                for guesses, labels in said.items():
                    key = f"{name}/{guesses}"
                    for end in [*range(1, len(text), 3), len(text)]:
                        window = self.window(key, self.authors[0], text[:end], len(labels), end == len(text))
                        labels += _flat((await detector.label([window]))[0])
                        if guesses and len(labels) < end:
                            rest = self.window(key, self.authors[0], text[:end], len(labels))
                            fault = label_fault(detector.guess(rest), rest, end)
                            assert fault is None, f"{name}, after {text[:end]!r:.60}: {fault}"
                assert said[True] == said[False], name

    @on_loop
    async def test_batches_equal_singles(self, detector: StyleDetector) -> None:
        """Windows of one batch do not disturb each other, in any order."""
        async with _started(detector):
            windows = [
                self.window(f"{name}/{author}/{{}}", author, text, 0, final=i % 2 == 0)
                for i, (name, text) in enumerate(TEXTS.items())
                for author in self.authors
            ]
            alone = [(await detector.label([_renamed(window, "alone")]))[0] for window in windows]
            for order in (windows, windows[::-1]):
                found = await detector.label([_renamed(window, str(order is windows)) for window in order])
                assert len(found) == len(order)
                flat = [_flat(labels) for labels in found]
                assert (flat if order is windows else flat[::-1]) == [_flat(labels) for labels in alone]

    @on_loop
    async def test_trajectories_do_not_mix(self, detector: StyleDetector) -> None:
        """Streams that are labelled in the same batches get the labels that each gets alone."""
        async with _started(detector):
            texts = {name: text for name, text in TEXTS.items() if len(text) < 600}
            together: dict[str, list[bool]] = {name: [] for name in texts}
            alone: dict[str, list[bool]] = {name: [] for name in texts}
            author, step = self.authors[0], 17
            for end in range(step, max(map(len, texts.values())) + step, step):
                names = [name for name, text in texts.items() if end - step < len(text)]
                windows = []
                for name in names:
                    text, final = texts[name][:end], end >= len(texts[name])
                    windows.append(self.window(name, author, text, len(together[name]), final))
                    single = self.window(f"{name}/alone", author, text, len(alone[name]), final)
                    alone[name] += _flat((await detector.label([single]))[0])
                for name, labels in zip(names, await detector.label(windows), strict=True):
                    together[name] += _flat(labels)
            assert together == alone

    @on_loop
    async def test_a_rollback_is_forgotten(self, detector: StyleDetector) -> None:
        """A shorter text under the same key takes back what followed."""
        async with _started(detector):
            author, text = self.authors[0], TEXTS["plain"]
            for kept in (0, 10, len(text) // 2, len(text) - 1):
                for author in self.authors:
                    key, other = f"{author}/{kept}", text[:kept] + " Hmm, wait. x = 3 and so on."
                    await detector.label([self.window(key, author, text, 0)])
                    await detector.label([self.window(key, author, text[:kept], kept)])
                    (again,) = await detector.label([self.window(key, author, other, kept, final=True)])
                    (fresh,) = await detector.label(
                        [self.window(f"{key}/f", author, other, kept, final=True)]
                    )
                    assert _flat(again) == _flat(fresh), f"after a rollback to {kept}"

    @on_loop
    async def test_forget(self, detector: StyleDetector) -> None:
        """Unknown keys and repeated calls are nothing; what was forgotten is read anew."""
        async with _started(detector):
            detector.forget("never seen")
            author, text = self.authors[0], TEXTS["code"]
            window = self.window("k", author, text, len(text) // 2)
            (before,) = await detector.label([window])
            detector.forget("k")
            detector.forget("k")
            (after,) = await detector.label([window])
            assert _flat(before) == _flat(after)

    @on_loop
    async def test_a_cancelled_call_can_be_asked_again(self, detector: StyleDetector) -> None:
        """A run that stops cancels it; what it was asked then is asked again."""
        async with _started(detector):
            window = self.window("k", self.authors[0], LONG, 0)
            for waits in range(4):
                call = asyncio.ensure_future(detector.label([window]))
                for _ in range(waits):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.wait([call])
            (again,) = await detector.label([window])
            (fresh,) = await detector.label([self.window("fresh", self.authors[0], LONG, 0)])
            assert _flat(again) == _flat(fresh)

    async def _label(
        self, detector: StyleDetector, text: str, author: Role, *, final: bool = False
    ) -> list[bool]:
        """Styles of the characters of one window that nobody has seen before."""
        key = f"{author}/{len(text)}/{text[:20]}/{text[-20:]}/{final}"
        detector.forget(key)
        (labels,) = await detector.label([self.window(key, author, text, 0, final)])
        return _flat(labels)

    async def _stream(self, service: Detection, key: str, pieces: Sequence[str]) -> list[bool]:
        """Styles of the characters of a draft, as the writer gets them."""
        draft, track = Draft(Turn(self.authors[0])), service.track(key, self.prompt)
        for piece in pieces:
            draft.extend(Chunk(piece, 1))
            await track.extend(draft)
        draft.extend(Chunk(finish="end_of_thinking"))
        await track.extend(draft)
        assert draft.settled == len(draft)
        track.close()
        return _flat(draft.labels)


@asynccontextmanager
async def _started(detector: StyleDetector) -> AsyncIterator[Detection]:
    service = Detection(detector, Origin("style detector", type(detector).__name__, "under test"))
    await service.start()
    try:
        yield service
    finally:
        await service.close()


def _flat(labels: Sequence[Label]) -> list[bool]:
    """Style or not, character by character."""
    return [label.style for label in labels for _ in range(label.start, label.end)]


def _renamed(window: Window, run: str) -> Window:
    key = window.key.format(run)
    return replace(window, key=key)
