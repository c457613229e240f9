from __future__ import annotations

import asyncio
import random
import re
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import on_virtual_time
from tessy.abc import Options, StyleDetector
from tessy.boundary import Origin
from tessy.detection import MAX_LOOKAHEAD, Detection
from tessy.draft import Draft
from tessy.errors import ConfigError, PluginError
from tessy.track import Track
from tessy.types import Chunk, Label, Span, Turn, Window

UNIT = re.compile(r"\s*\S+|\s+\Z")


class Hashing(StyleDetector):
    """Calls a word style by a hash of all that it may look at: any dependence on chunking shows."""

    lookahead = 7

    def __init__(self) -> None:
        super().__init__(Options())
        self.batches: list[list[Window]] = []
        self.forgotten: list[str] = []

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        self.batches.append(list(windows))
        return [self.one(window) for window in windows]

    def one(self, window: Window) -> list[Label]:
        labels, text, due = [], window.text, len(window.text) - self.lookahead
        for unit in UNIT.finditer(text):
            begin = max(unit.start(), window.new_from)
            if unit.end() <= begin:
                continue
            if unit.start() > due and not window.final:
                break
            seen = f"{window.anchor} {text[: unit.start() + self.lookahead]}"
            labels.append(Label(begin, unit.end(), zlib.crc32(seen.encode()) % 3 == 0))
        return labels

    def forget(self, key: str) -> None:
        self.forgotten.append(key)


class Gated(Hashing):
    """Answers a batch when the test opens the gate; keeps watch that calls never overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Semaphore(0)
        self.active = 0
        self.cancelled = 0

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        assert self.active == 0
        self.active += 1
        try:
            self.batches.append(list(windows))
            await self.gate.acquire()
            return [self.one(window) for window in windows]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.active -= 1


class Odd(Hashing):
    """Does what the test says with every batch."""

    def __init__(self, answer: Callable[[Sequence[Window]], object]) -> None:
        super().__init__()
        self.answer = answer

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        self.batches.append(list(windows))
        return self.answer(windows)  # type: ignore[return-value]


ORIGIN = Origin("style detector", "odd", "odd-package")


def detection(detector: StyleDetector, timeout: float = 60.0) -> Detection:
    return Detection(detector, ORIGIN, timeout=timeout)


def window(key: str, text: str = "one two three four five") -> Window:
    return Window(key, "teacher", 0, text, 0)


async def idle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)


async def write(track: Track, text: str, cuts: Sequence[int], draft: Draft | None = None) -> Draft:
    draft = draft or Draft(Turn("teacher"))
    edges = [0, *sorted(cuts), len(text)]
    for k, (start, end) in enumerate(pairwise(edges)):
        draft.extend(Chunk(text[start:end], finish="stop" if k == len(edges) - 2 else None))
        await track.extend(draft)
    return draft


def runs(draft: Draft) -> str:
    return "".join(
        "S" if label.style else "c" for label in draft.labels for _ in range(label.start, label.end)
    )


def babble(seed: int, length: int) -> str:
    rng = random.Random(seed)
    words = ("a", "word", "much-longer-word", "x" * 70, ".", "3.14")
    return "".join(rng.choice(words) + rng.choice((" ", "  ", "\n\n")) for _ in range(length))


# Long enough for several blocks, which hypothesis would seldom build from a list.
texts = st.builds(babble, st.integers(0, 999), st.integers(0, 300))


# --- labels are a function of the text ---------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(texts, texts, st.data())
def test_labels_do_not_depend_on_chunks(before: str, text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))

    async def both() -> tuple[Draft, Draft]:
        drafts = []
        for some in ([], cuts):
            track = detection(Hashing()).track("t")
            track.commit(before)
            drafts.append(await write(track, text, some))
        return drafts[0], drafts[1]

    whole, pieces = asyncio.run(both())
    assert whole.labels == pieces.labels
    assert whole.settled == len(text) == len(runs(whole))


@settings(deadline=None, max_examples=60)
@given(texts, texts, st.data())
def test_a_dropped_draft_leaves_no_trace(before: str, text: str, data: st.DataObject) -> None:
    dropped = data.draw(texts)
    kept = data.draw(st.integers(0, len(dropped)))

    async def both() -> tuple[Draft, Draft]:
        straight = detection(Hashing()).track("t")
        straight.commit(before + dropped[:kept])
        other = detection(Hashing()).track("t")
        other.commit(before)
        await write(other, dropped, [])
        other.commit(dropped[:kept])
        return await write(straight, text, []), await write(other, text, [])

    first, second = asyncio.run(both())
    assert first.labels == second.labels


@pytest.mark.parametrize("kept", range(505, 520))
async def test_a_block_that_began_in_dropped_text_is_found_anew(kept: int) -> None:
    dropped, text = "x" * 514 + " dropped words " * 100, "yy zz " * 300
    other, straight = detection(Hashing()).track("t"), detection(Hashing()).track("t")
    await write(other, dropped, [])
    other.commit(dropped[:kept])
    straight.commit(dropped[:kept])
    assert (await write(other, text, [])).labels == (await write(straight, text, [])).labels


@settings(deadline=None, max_examples=40)
@given(texts, texts, st.data())
def test_a_draft_goes_on_after_a_checkpoint(before: str, text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))

    async def both() -> tuple[Draft, Draft, Draft]:
        live = detection(Hashing()).track("t")
        live.commit(before)
        draft = Draft(Turn("teacher"))
        draft.extend(Chunk(text[:at]))
        await live.extend(draft)
        span = draft.span(draft.settled, 0, labels=True)
        draft.commit(draft.settled)
        live.commit(span.text)
        draft.extend(Chunk(text[at:], finish="stop"))
        await live.extend(draft)

        resumed = detection(Hashing()).track("t")
        resumed.commit(before + span.text)
        again = await write(
            resumed, text[len(span.text) :], [], Draft(Turn("teacher"), [span] if span.text else [])
        )

        whole = detection(Hashing()).track("t")
        whole.commit(before)
        return draft, again, await write(whole, text, [])

    live, resumed, whole = asyncio.run(both())
    assert runs(live) == runs(resumed) == runs(whole)
    assert live.settled == resumed.settled == len(text)


async def test_labels_are_in_draft_characters() -> None:
    def first_is_style(windows: Sequence[Window]) -> list[list[Label]]:
        return [
            [Label(w.new_from, w.new_from + 4, True, 0.75), Label(w.new_from + 4, len(w.text), False)]
            for w in windows
        ]

    track = detection(Odd(first_is_style)).track("t")
    track.commit("committed before. ")
    draft = await write(track, "Wait x is 2", [])
    assert draft.labels == [Label(0, 4, True, 0.75), Label(4, 11, False)]


async def test_work_does_not_grow_with_the_trace() -> None:
    detector = Hashing()
    track = detection(detector).track("t")
    for _ in range(300):
        text = "some more words. " * 20
        await write(track, text, list(range(0, len(text), 5)))
        track.commit(text)
    lengths = [len(w.text) for batch in detector.batches for w in batch]
    left = [w.new_from for batch in detector.batches for w in batch if w.anchor]
    assert max(lengths) < 2300
    assert min(left) >= 1024 - 64
    assert {w.anchor for batch in detector.batches for w in batch if w.anchor} <= set(
        range(512, 102_400, 1)
    ) | {0}
    assert track.position == 300 * 340


async def test_much_text_at_once_is_labelled_in_short_windows() -> None:
    detector = Hashing()
    track = detection(detector).track("t")
    draft = await write(track, "some more words. " * 2000, [])
    assert draft.settled == len(draft)
    assert max(len(w.text) for batch in detector.batches for w in batch) < 2300


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 3000), st.integers(1, 4000), st.sampled_from("x\u00a0等"), st.data())
def test_a_word_without_end_makes_no_endless_windows(
    before: int, length: int, char: str, data: st.DataObject
) -> None:
    text = "so " * (before // 3) + char * length + " and more " * 30
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=30))

    async def both() -> tuple[Draft, Draft, Hashing]:
        detector = Hashing()
        whole = await write(detection(detector).track("t"), text, [])
        return whole, await write(detection(detector).track("t"), text, cuts), detector

    whole, pieces, detector = asyncio.run(both())
    assert whole.labels == pieces.labels
    assert whole.settled == len(text)
    assert max(len(w.text) for batch in detector.batches for w in batch) < 2400


async def test_what_a_draft_has_settled_is_let_go() -> None:
    track = detection(Hashing()).track("t")
    track.commit("before that " * 100)
    draft = Draft(Turn("teacher"))
    for n in range(2000):
        draft.extend(Chunk(f"word{n} and "))
        await track.extend(draft)
        assert len(track._blocks.text) < 2400
    track.commit(draft.text[:9000])
    other = Draft(Turn("student"))
    other.extend(Chunk(" another one altogether", finish="stop"))
    await track.extend(other)
    straight = detection(Hashing()).track("t")
    straight.commit("before that " * 100 + draft.text[:9000])
    assert (await write(straight, other.text, [])).labels == other.labels


async def test_nothing_new_asks_nothing() -> None:
    detector = Hashing()
    track = detection(detector).track("t")
    draft = Draft(Turn("teacher"))
    draft.extend(Chunk(""))
    await track.extend(draft)
    assert detector.batches == []
    draft.extend(Chunk("", finish="end_of_thinking"))
    await track.extend(draft)
    assert draft.labels == []


async def test_the_end_of_a_draft_settles_it() -> None:
    track = detection(Hashing()).track("t")
    draft = Draft(Turn("teacher"))
    draft.extend(Chunk("all of this"))
    await track.extend(draft)
    assert draft.settled < len(draft)
    draft.extend(Chunk("", finish="end_of_thinking"))
    await track.extend(draft)
    assert draft.settled == len(draft)


async def test_a_closed_track_is_forgotten() -> None:
    detector = Hashing()
    detection(detector).track("t").close()
    assert detector.forgotten == ["t"]


def test_a_begun_draft_keeps_its_labels() -> None:
    span = Span("teacher", "think", "so x", 0, 2, labels=(Label(0, 2, True), Label(2, 4, False)))
    assert Draft(Turn("teacher"), [span]).settled == 4


# --- batches -----------------------------------------------------------------------------------------


async def test_who_asks_during_a_batch_is_in_the_next() -> None:
    detector = Gated()
    service = detection(detector)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(service.label(window(key))) for key in "abcd"]
        await idle()
        assert [[w.key for w in batch] for batch in detector.batches] == [["a"]]
        detector.gate.release()
        await idle()
        tasks.append(group.create_task(service.label(window("e"))))
        await idle()
        assert [[w.key for w in batch] for batch in detector.batches] == [["a"], ["b", "c", "d"]]
        detector.gate.release()
        await idle()
        detector.gate.release()
    assert [[w.key for w in batch] for batch in detector.batches] == [["a"], ["b", "c", "d"], ["e"]]
    assert all(task.result() == detector.one(window("a")) for task in tasks)


async def test_a_batch_has_room_for_so_many_and_the_first_come_first() -> None:
    detector = Gated()
    service = detection(detector)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(service.label(window(str(n)))) for n in range(150)]
        await idle()
        tasks[70].cancel()
        for _ in range(4):
            detector.gate.release()
            await idle()
            # Who has been answered asks again at once, and is not served before those who wait.
            tasks.append(group.create_task(service.label(window(f"again {len(tasks)}"))))
            await idle()
        for _ in range(4):
            detector.gate.release()
    keys = [[w.key for w in batch] for batch in detector.batches]
    assert [len(batch) for batch in keys][:4] == [1, 64, 64, 22]
    asked = [str(n) for n in range(150) if n != 70] + [f"again {n}" for n in range(150, 154)]
    assert [key for batch in keys for key in batch] == asked


async def test_an_idle_detector_answers_without_a_task_switch() -> None:
    detector = Gated()
    answers_at_once(detection(detector), detector)


@pytest.mark.parametrize("who", range(5))
async def test_one_cancelled_trajectory_leaves_the_others_alone(who: int) -> None:
    detector = Gated()
    service = detection(detector)
    tasks = [asyncio.create_task(service.label(window(key))) for key in "abcde"]
    await idle()
    detector.gate.release()  # a is answered, b leads c, d and e
    await idle()
    tasks[who].cancel()
    await idle()
    for _ in range(3):
        detector.gate.release()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for k, result in enumerate(results):
        if k == who and k > 0:  # a has its labels already
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert result == detector.one(window("a"))
    assert detector.cancelled == (who == 1)
    assert await service.label(window("f")) == detector.one(window("f"))


async def test_one_that_is_cancelled_when_its_turn_comes_lets_the_next_lead() -> None:
    detector = Gated()
    service = detection(detector)

    async def lead_and_cancel() -> None:
        await service.label(window("a"))
        second.cancel()  # which has just been told to lead, and has not run yet

    first = asyncio.create_task(lead_and_cancel())
    await idle()
    second, third = (asyncio.create_task(service.label(window(key))) for key in "bc")
    await idle()
    detector.gate.release()
    detector.gate.release()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert second.cancelled()
    assert third.result()
    answers_at_once(service, detector)


def answers_at_once(service: Detection, detector: Gated) -> None:
    detector.gate.release()
    label = service.label(window("z"))
    with pytest.raises(StopIteration):
        label.send(None)


async def test_cancelling_all_leaves_it_usable() -> None:
    detector = Gated()
    service = detection(detector)
    tasks = [asyncio.create_task(service.label(window(key))) for key in "abc"]
    await idle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    answers_at_once(service, detector)


# --- detectors that fail -----------------------------------------------------------------------------


async def test_only_the_guilty_trajectory_fails() -> None:
    class Picky(Gated):
        async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
            labels = await super().label(windows)
            if any("poison" in w.text for w in windows):
                raise ZeroDivisionError("poison")
            return labels

    detector = Picky()
    service = detection(detector)
    asked = [window("a"), window("b"), window("c", "the poison is here"), window("d")]
    tasks = [asyncio.create_task(service.label(w)) for w in asked]
    for _ in range(6):
        detector.gate.release()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, PluginError) for result in results] == [False, False, True, False]
    assert isinstance(results[2], PluginError)
    assert isinstance(results[2].__cause__, ZeroDivisionError)
    for word in ("'odd'", "odd-package", "ZeroDivisionError", "poison"):
        assert word in str(results[2])


async def test_a_stalled_batch_fails_and_the_next_is_served() -> None:
    detector = Gated()
    service = detection(detector, timeout=0.0)
    first, second = (asyncio.create_task(service.label(window(key))) for key in "ab")
    with pytest.raises(PluginError, match=r"'odd' .*odd-package.* did not answer within 0 s"):
        await first
    with pytest.raises(PluginError, match="did not answer"):
        await second
    service.timeout = 60.0
    detector.gate.release()
    assert await service.label(window("c"))


def test_a_large_batch_may_take_longer() -> None:
    class Slow(Hashing):
        async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
            await asyncio.sleep(7 * len(windows))
            return await super().label(windows)

    async def ask() -> list[object]:
        service = detection(Slow())
        tasks = [asyncio.create_task(service.label(window(str(n)))) for n in range(200)]
        return await asyncio.gather(*tasks)

    assert on_virtual_time(ask()) == [Hashing().one(window("a"))] * 200


@pytest.mark.parametrize(("poison", "failed"), [({17}, {17}), ({3, 4}, set(range(3, 30))), ({3, 9}, {3, 9})])
def test_who_stalls_fails_alone_unless_all_do(poison: set[int], failed: set[int]) -> None:
    class Stalling(Hashing):
        async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
            stalls = any(w.key.isdigit() and int(w.key) in poison for w in windows)
            await asyncio.sleep(1e9 if stalls else 1)
            return await super().label(windows)

    async def ask() -> list[object]:
        service = detection(Stalling())
        tasks = [asyncio.create_task(service.label(window("first")))]
        tasks += [asyncio.create_task(service.label(window(str(n)))) for n in range(30)]
        results = (await asyncio.gather(*tasks, return_exceptions=True))[1:]
        assert await service.label(window("last"))
        return list(results)

    results = on_virtual_time(ask())
    assert {n for n, result in enumerate(results) if isinstance(result, PluginError)} == failed
    assert all("odd-package" in str(results[n]) for n in failed)


async def test_a_timeout_of_the_detectors_own_is_a_failure_like_any() -> None:
    def slow(windows: Sequence[Window]) -> object:
        raise TimeoutError("upstream")

    with pytest.raises(PluginError, match=r"failed in label: .*upstream"):
        await detection(Odd(slow)).label(window("a"))


@pytest.mark.parametrize(
    "answer",
    [
        lambda windows: None,
        lambda windows: [],
        lambda windows: [[], []],
        lambda windows: [None],
        lambda windows: [[(0, 3, True)]],
        lambda windows: [[Label(1, 23, True)]],
        lambda windows: [[Label(0, 5, True), Label(4, 23, True)]],
        lambda windows: [[Label(0, 5, True), Label(6, 23, True)]],
        lambda windows: [[Label(0, 99, True)]],
        lambda windows: [[Label(0, 23, 1)]],  # type: ignore[arg-type]
        lambda windows: [[Label(0, 23, True, 1.5)]],
        lambda windows: [[Label(0, 3, True)]],
        lambda windows: [[]],
        lambda windows: [[Label(0, "23", True)]],  # type: ignore[arg-type]
        lambda windows: [[Label(0.0, 23.0, True)]],  # type: ignore[arg-type]
        lambda windows: [[Label(0, 23, True, None)]],  # type: ignore[arg-type]
    ],
)
async def test_labels_that_break_the_contract(answer: Callable[[Sequence[Window]], object]) -> None:
    detector = Odd(answer)
    with pytest.raises(PluginError, match="odd-package"):
        await detection(detector).label(window("a"))


async def test_labels_of_a_wrong_type_cost_only_their_trajectory() -> None:
    class Picky(Gated):
        async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
            labels = await super().label(windows)
            return [
                [Label(0, None, True)] if "poison" in w.text else found  # type: ignore[arg-type]
                for w, found in zip(windows, labels, strict=True)
            ]

    detector = Picky()
    service = detection(detector)
    asked = [window("a"), window("b"), window("c", "the poison is here")]
    tasks = [asyncio.create_task(service.label(w)) for w in asked]
    for _ in range(6):
        detector.gate.release()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, PluginError) for result in results] == [False, False, True]
    assert not any(isinstance(result, TypeError) for result in results)


async def test_labels_are_due_up_to_a_word_as_a_seam_has_it() -> None:
    class Careful(Hashing):
        lookahead = 0

        async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
            return [[Label(0, 5, True)] for _ in windows]

    # The no-break space holds the number together: the last whole word is the first one.
    assert await detection(Careful()).label(window("a", "about 10\u00a0000"))
    with pytest.raises(PluginError, match="due up to 8 of"):
        await detection(Careful()).label(window("a", "about 10 000"))


@pytest.mark.parametrize("lookahead", [-1, 1.5, "12", None, True, MAX_LOOKAHEAD + 1, 10**30])
async def test_an_impossible_lookahead_is_refused(lookahead: object) -> None:
    class Late(Hashing):
        async def start(self) -> None:
            self.lookahead = lookahead  # type: ignore[assignment]

    said = r"'odd' \(package odd-package\) declares a lookahead of .* from 0 to 4096"
    with pytest.raises(PluginError, match=said):
        await detection(Late()).start()
    early = Hashing()
    early.lookahead = lookahead  # type: ignore[assignment]
    with pytest.raises(PluginError, match=said):
        detection(early)


async def test_the_lookahead_is_what_start_has_made_it() -> None:
    class Late(Odd):
        async def start(self) -> None:
            self.lookahead = 18

    late = Late(lambda windows: [[Label(0, 3, True)]])
    service = detection(late)
    await service.start()
    assert service.lookahead == 18
    late.lookahead = 0  # too late: all labels were promised with 18
    assert await service.label(window("a"))


async def test_a_detector_that_cancels_itself_has_failed() -> None:
    def cancel(windows: Sequence[Window]) -> object:
        raise asyncio.CancelledError

    with pytest.raises(PluginError, match=r"failed in label: .*it cancelled itself"):
        await detection(Odd(cancel)).label(window("a"))


async def test_a_models_own_numbers_become_plain_ones() -> None:
    numpy = pytest.importorskip("numpy")

    def label(windows: Sequence[Window]) -> object:
        return [
            [Label(numpy.int64(w.new_from), numpy.int64(len(w.text)), True, numpy.float32(0.5))]
            for w in windows
        ]

    draft = Draft(Turn("student"))
    draft.extend(Chunk("one two three", finish="stop"))
    await detection(Odd(label)).track("a").extend(draft)
    assert draft.labels == [Label(0, 13, True, 0.5)]
    kinds = [type(value) for i in draft.labels for value in (i.start, i.end, i.p, draft.settled)]
    assert kinds == [int, int, float, int]


async def test_labels_of_a_finished_text_reach_its_end() -> None:
    detector = Odd(lambda windows: [[Label(0, 18, True)]])
    assert await detection(detector).label(window("a"))
    with pytest.raises(PluginError, match="due up to 23 of 23"):
        await detection(detector).label(Window("a", "teacher", 0, "one two three four five", 0, final=True))


async def test_a_detector_that_cannot_start_is_named() -> None:
    class Broken(Hashing):
        async def start(self) -> None:
            raise OSError("no weights")

        async def close(self) -> None:
            raise ConfigError("its own words")

    with pytest.raises(PluginError, match=r"'odd' .*odd-package.*no weights"):
        await detection(Broken()).start()
    with pytest.raises(ConfigError, match="its own words"):
        await detection(Broken()).close()
