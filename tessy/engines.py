"""The engines that crews need: each started once, and closed as soon as no crew needs it any more.

Crews share an engine by holding the same object: the policies of one command work with the same models, and a
large model must not be loaded for each of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tessy.abc import Backend, StyleDetector
from tessy.boundary import Origin, plugin
from tessy.crew import Crew
from tessy.errors import ConfigError, ContinuationUnsupported, TessyError
from tessy.needs import missing, unlike

__all__ = ["Engines", "started"]

log: logging.Logger = logging.getLogger(__name__)

_CLOSING = 300.0
"""Seconds that an engine may take to close; a large one gives back its memory in some tens."""


class Engines:
    """The started engines of some crews.

    Args:
        crews: those that will be started.
    """

    def __init__(self, crews: Sequence[Crew]) -> None:
        self._crews = list(crews)
        self._open: list[_Engine] = []

    async def start(self, crew: Crew) -> None:
        """Start what the crew needs and is not started yet, and see that it is what its policy needs.

        Raises:
            ConfigError, BackendError: one cannot start, or lacks what the policy needs.
        """
        for engine in _engines(crew):
            if all(engine.part is not other.part for other in self._open):
                self._open.append(engine)  # first, so that one that fails half-way is closed too
                await engine.start()
        if crew.detection is not None:
            crew.detection.started()  # maybe through another crew's
        _check_needs(crew)

    async def release(self, crew: Crew) -> None:
        """The crew is done: close what no other waits for."""
        self._crews = [other for other in self._crews if other is not crew]
        needed = [engine.part for other in self._crews for engine in _engines(other)]
        idle = [engine for engine in self._open if all(engine.part is not part for part in needed)]
        self._open = [engine for engine in self._open if engine not in idle]
        await _close(idle)

    async def close(self) -> None:
        """Close all, the last one started first. Idempotent."""
        engines, self._open = self._open, []
        await _close(engines)


@asynccontextmanager
async def started(crews: Sequence[Crew]) -> AsyncIterator[Engines]:
    """All that these crews need, started one after the other and closed at the end.

    Raises:
        ConfigError, BackendError: one cannot start, or lacks what a policy needs.
    """
    engines = Engines(crews)
    try:
        for crew in crews:
            await engines.start(crew)
        yield engines
    finally:
        await engines.close()


@dataclass(frozen=True, eq=False)
class _Engine:
    part: Backend | StyleDetector
    start: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


def _engines(crew: Crew) -> Iterator[_Engine]:
    for role, backend in crew.backends.items():
        origin = crew.origins[role]
        yield _Engine(
            backend, _guarded(origin, "start", backend.start), _guarded(origin, "close", backend.close)
        )
    if crew.detection is not None:
        yield _Engine(crew.detection.detector, crew.detection.start, crew.detection.close)


def _guarded(
    origin: Origin, doing: str, call: Callable[[], Awaitable[None]]
) -> Callable[[], Awaitable[None]]:
    async def guarded() -> None:
        with plugin(origin, doing):
            await call()

    return guarded


async def _close(engines: Sequence[_Engine]) -> None:
    """In reverse; one that fails to close, or hangs, does not keep the others open."""
    async with AsyncExitStack() as stack:
        for engine in engines:
            stack.push_async_callback(_in_time, engine)


async def _in_time(engine: _Engine) -> None:
    limit = asyncio.timeout(_CLOSING)
    try:
        async with limit:
            await engine.close()
    except TessyError as error:
        log.warning("%s", error)  # all that it was wanted for is done
    except TimeoutError:
        if not limit.expired():
            raise
        log.warning("%s does not close; after %g s it is left as it is", engine.part, _CLOSING)


def _check_needs(crew: Crew) -> None:
    with plugin(crew.policy_origin, "needs"):
        needs = crew.policy.needs  # that they mean something was seen to when the policy was made
    can = {role: crew.backends[role].capabilities for role in needs.roles}
    fits = ", ".join(crew.fitting(can))
    others = f"; policies that would work: {fits}" if fits else ""
    for role, capabilities in can.items():
        lack = missing(needs, role, capabilities)
        if lack is None:
            continue
        what = f"{role} {crew.backends[role].model!r} ({crew.origins[role]}) {lack.lacking}"
        error = ContinuationUnsupported if lack.capability == "continuation" else ConfigError
        raise error(f"{crew.policy_origin} needs {lack.needed}; {what}{others}")
    if (why := unlike(needs, can)) is not None:
        raise ConfigError(f"{crew.policy_origin} needs {why}{others}")
