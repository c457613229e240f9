"""Runs a coroutine up to its first wait: most of what is called as if it waited never does."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["Later", "Waiting", "begin"]

T = TypeVar("T")


class Waiting(Generic[T]):
    """A coroutine that waits for something; await it, once and at once, in the task that began it."""

    __slots__ = ("_what", "_work")

    def __init__(self, work: Coroutine[Any, Any, T], what: Any) -> None:
        self._work = work
        self._what = what

    def __await__(self) -> Generator[Any, Any, T]:
        return _go_on(self._work, self._what)


class Later(Generic[T]):
    """A result that is not there yet, where one that is would be given itself; await it, once and at once.

    Not an `Awaitable` by name: who asks for each word whether a result is one would ask an abstract class.
    """

    __slots__ = ("_work",)

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()


def begin(work: Awaitable[T]) -> tuple[T] | Awaitable[T]:
    """The result in a tuple if it is there without any wait; else what is to be awaited for it.

    Raises whatever it raises before its first wait.
    """
    if not isinstance(work, types.CoroutineType):
        return work
    try:
        return Waiting(work, work.send(None))
    except StopIteration as end:
        return (end.value,)


def _go_on(work: Coroutine[Any, Any, T], what: Any) -> Generator[Any, Any, T]:
    """What ``yield from`` would do, with the first thing that was yielded already in hand."""
    try:
        while True:
            try:
                sent = yield what
            except BaseException as error:
                what = work.throw(error)
            else:
                what = work.send(sent)
    except StopIteration as end:
        result: T = end.value
        return result
