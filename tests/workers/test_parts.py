"""The parts of a run in several processes, each alone."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tessy.api.settings import configure
from tessy.errors import BackendDown, ConfigError, TessyError
from tessy.journal import TurnUsage
from tessy.journal.entries import Entry, Group
from tessy.types import Span, Usage
from tessy.workers.fleet import _error
from tessy.workers.frames import receive, send
from tessy.workers.outbox import Outbox
from tessy.workers.recipe import make_recipe, shares
from tessy.workers.tally import Sums, Tally, read_usage


async def pair() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, asyncio.StreamWriter]:
    """A reader, the writer that it reads, and its own writer."""
    ours, theirs = socket.socketpair()
    reader, back = await asyncio.open_connection(sock=ours)
    _, writer = await asyncio.open_connection(sock=theirs)
    return reader, writer, back


async def test_frames_arrive_whole_and_a_torn_one_is_an_end() -> None:
    reader, writer, back = await pair()
    send(writer, {"text": "é🎉\x00" * 50_000})
    send(writer, [])
    writer.write(b"\x00\x00\x00\x09[1, 2")
    writer.close()
    assert await receive(reader) == {"text": "é🎉\x00" * 50_000}
    assert await receive(reader) == []
    assert await receive(reader) is None
    back.close()


async def test_trajectories_wait_where_the_other_process_does_not_read() -> None:
    reader, writer, back = await pair()
    outbox = Outbox(writer)
    running = asyncio.create_task(outbox.run())
    group = Group((Entry("span", (1, 0, 0, "x" * 5000)),))
    sent = 0
    _, full = writer.transport.get_write_buffer_limits()
    async with asyncio.timeout(120):
        while True:
            for _ in range(1100):
                outbox.put(group)
            sent += 1100
            waiting = asyncio.ensure_future(outbox.room())
            # The outbox sends in a task of its own until the socket is full, as nobody reads. All that could
            # take something is on this loop, so what has not moved in twenty turns of it stays.
            before, still = -1, 0
            while not waiting.done() and still < 20:
                await asyncio.sleep(0.01)  # a turn of the loop in which the socket may take something
                size = writer.transport.get_write_buffer_size()
                still = still + 1 if size == before > full else 0
                before = size
            if not waiting.done():
                break
        await asyncio.sleep(0.2)  # nothing may happen in this time
        assert not waiting.done()
        received = 0
        while received < sent:
            frame = await receive(reader)
            assert frame is not None
            received += len(frame["groups"])
        await waiting
    assert received == sent
    running.cancel()
    await outbox.close()
    back.close()


async def test_what_happens_is_told_some_times_a_second() -> None:
    reader, writer, back = await pair()
    outbox = Outbox(writer)
    running = asyncio.create_task(outbox.run())
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + 1:
        outbox.tally.committed("a", Span("student", "think", "x", 0, 1))
        await asyncio.sleep(0.001)  # a thousand events a second
    running.cancel()
    await outbox.close()
    seconds = loop.time() - began
    frames = []
    while (frame := await receive(reader)) is not None:
        frames.append(frame)
    assert 1 < len(frames) <= 10 * seconds + 2
    assert sum(frame["tally"]["kept"].get("student", 0) for frame in frames) > len(frames)
    back.close()


def test_sums_by_role_and_purpose_come_back() -> None:
    one = TurnUsage("teacher", Usage(10, 4, 6, 1, 1), 3, 1, 2)
    judged = TurnUsage("teacher", Usage(5, 0, 1, 1), purpose="judge")
    sums = Sums()
    for usage in (one, one, judged):
        sums.add(usage)
    assert read_usage(sums.take()) == [TurnUsage("teacher", Usage(20, 8, 12, 2, 2), 6, 2, 4), judged]
    assert sums.take() == []


def test_a_tally_counts_hand_overs_across_what_was_taken() -> None:
    tally = Tally(lambda: None)
    tally.committed("a", Span("student", "think", "x", 0, 1))
    assert tally.take()["switches"] == 0
    tally.committed("a", Span("teacher", "think", "y", 1, 2))
    tally.committed("b", Span("student", "think", "y", 0, 2))
    taken = tally.take()
    assert (taken["switches"], taken["kept"]) == (1, {"teacher": 2, "student": 2})


def test_limits_are_divided() -> None:
    assert shares(10, 4) == [3, 3, 2, 2]
    (resolved,) = configure(
        None,
        {
            "teacher": "vllm:t@http://localhost:1?rpm=100&tpm=9000&max_concurrency=64",
            "student": "vllm:s@http://localhost:1",
        },
    )
    config = make_recipe(resolved, 3).config()
    assert dict(config.backends["teacher"].options) == {"rpm": 33, "tpm": 3000, "max_concurrency": 21}
    assert config.backends["student"].options["max_concurrency"] == 512 // 3
    with pytest.raises(ConfigError, match="rpm=100"):
        make_recipe(resolved, 101)


def test_a_workers_error_keeps_its_type() -> None:
    assert isinstance(_error("BackendDown", "gone"), BackendDown)
    other = _error("ZeroDivisionError", "division by zero")
    assert type(other) is TessyError
    assert "ZeroDivisionError: division by zero" in str(other)
