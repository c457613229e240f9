"""Batches across trajectories."""

from __future__ import annotations

import asyncio

import pytest

from detection_parts import Gated, detection, idle, window
from tessy.detection import Detection


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
