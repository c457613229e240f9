"""Detectors that fail, stall or break their contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from detection_parts import Gated, Hashing, Odd, detection, window
from helpers import on_virtual_time
from tessy.detection import MAX_LOOKAHEAD
from tessy.draft import Draft
from tessy.errors import ConfigError, PluginError
from tessy.types import Chunk, Label, Turn, Window


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
