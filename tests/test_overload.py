"""When a run says that its process cannot keep up with the streams."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tessy import overload
from tessy.overload import Overload, watched
from tessy.testing.scripted import ScriptedBackend, ScriptedOptions


def said(one: Overload, *late: float) -> list[str]:
    """What is said of so many milliseconds each."""
    return [found for ms in late if (found := one.look(ms / 1000)) is not None]


def test_what_is_late_most_of_the_time_is_told_after_twenty_seconds() -> None:
    one = Overload(1, cores=8)
    assert said(one, *[35.0] * 199) == []
    (found,) = said(one, 35.0)
    assert "35 ms late" in found
    assert "--workers 2 or more (there are 8 cores)" in found
    assert "lower --concurrency" in found


def test_a_moment_is_no_matter_and_is_forgotten() -> None:
    one = Overload(1, cores=8)
    assert said(one, *([500.0] * 90 + [1.0] * 110) * 3) == []


def test_several_processes_are_told_to_be_more() -> None:
    (found,) = said(Overload(3, cores=8), *[50.0] * 200)
    assert "--workers 4 or more" in found


def test_without_another_core_fewer_traces_are_advised() -> None:
    (found,) = said(Overload(2, cores=2), *[50.0] * 200)
    assert "--workers" not in found
    assert "lower --concurrency" in found


class InProcess(ScriptedBackend):
    in_process = True


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that follow each other at once, and any delay is too much."""
    monkeypatch.setattr(overload, "_EVERY", 0.0)
    monkeypatch.setattr(overload, "_LATE", 0.0)


async def turns(count: int = 1000) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def backend(kind: type[ScriptedBackend] = ScriptedBackend) -> ScriptedBackend:
    return kind("any", ScriptedOptions())


@pytest.mark.usefixtures("hasty")
async def test_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tessy"):
        async with watched([backend()]):
            await turns()
    assert caplog.text.count("too much to do") == 1
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("kind", "processes"), [(InProcess, 1), (ScriptedBackend, None)])
async def test_nobody_watches_where_it_would_not_help(
    kind: type[ScriptedBackend], processes: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched([backend(kind)], processes):
        await turns()
    assert not caplog.records
