"""Questions to a server before any prompt is spent: what it serves, and what it can do.

The pool does not carry them: it waits for minutes, as is right for a run under way. Here somebody waits who
may have mistyped a URL. After which failures it is worth asking again is the same in both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tessy.attempts import Attempts
from tessy.errors import BackendError, BackendTimeout, BackendUnavailable, ConfigError

__all__ = ["from_each", "insist"]

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

_PAUSES = (0.5, 1.5, 4.0)
"""Seconds before a question that failed for a moment is asked again."""
_PATIENCE = 60.0
"""Seconds, at most, that a server may ask to be left alone (``Retry-After``) before one."""


async def insist(ask: Callable[[], Awaitable[T]], *, what: str, seconds: float | None = None) -> T:
    """What ``ask`` brings; a server that is busy, away or silent for a moment is asked again.

    Cancelling it cancels the question under way.

    Args:
        ask: asks once; raises tessy's errors.
        what: names the backend, for messages.
        seconds: how long one question may take; ``None``: it has a limit of its own.

    Raises:
        BackendTimeout, BackendUnavailable: so did the last attempt.
        BackendError: asking again is useless; as ``ask`` raised it.
    """
    attempts = Attempts(len(_PAUSES))
    for pause in (*_PAUSES, 0.0):
        try:
            async with asyncio.timeout(seconds) as limit:
                return await ask()
        except TimeoutError as late:
            if not limit.expired():
                raise
            error: BackendError = BackendTimeout(f"{what}: no answer within {seconds:g} seconds")
            error.__cause__ = late
        except BackendError as failed:
            error = failed
        if not attempts.again(error, answered=False):
            raise error
        wanted = error.retry_after if isinstance(error, BackendUnavailable) else None
        pause = pause if wanted is None else max(pause, min(wanted, _PATIENCE))
        log.warning("%s; asking again in %.3g s", error, pause)
        await asyncio.sleep(pause)
    raise AssertionError("the last attempt has returned or raised")


async def from_each(urls: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    """What ``ask`` brings from each replica that answers, all asked at once. One that does not may come back.

    Raises:
        ConfigError: something is wrong with one of them, and stays so.
        BackendError: none has answered; what the first one failed with.
    """
    answers = await asyncio.gather(*map(ask, urls), return_exceptions=True)
    found: dict[str, T] = {}
    failures: list[BackendError] = []
    for url, answer in zip(urls, answers, strict=True):
        if isinstance(answer, BackendError) and not isinstance(answer, ConfigError):
            failures.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[url] = answer
    if not found:
        raise failures[0]
    for failure in failures:
        log.warning("goes on without a replica that does not answer: %s", failure)
    return found
