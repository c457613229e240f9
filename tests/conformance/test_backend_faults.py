"""A suite is worth what it finds: backends with one fault each, and the test that must fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.faults import FAILURES, found, named
from tessy.abc import Backend, Capabilities, Session
from tessy.testing import EchoBackend, EchoOptions, ScriptedBackend
from tessy.testing.suites import BackendSuite
from tessy.types import (
    Chunk,
    Json,
    Prompt,
    Request,
    Scores,
    TokenLogprob,
    Usage,
)


class Changed(Session):
    """An echo whose chunks are changed on their way."""

    def __init__(self, inner: Session, change: Callable[[Chunk], Sequence[Chunk]]) -> None:
        self.inner, self.change = inner, change

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        async for chunk in self.inner.generate(request):
            for one in self.change(chunk):
                yield one


def changing(change: Callable[[Chunk], Sequence[Chunk]], **claims: Any) -> type[EchoBackend]:
    class Faulty(EchoBackend):
        @property
        def capabilities(self) -> Capabilities:
            return replace(super().capabilities, **claims)

        def session(self, prompt: Prompt, key: str) -> Session:
            return Changed(super().session(prompt, key), change)

    return Faulty


class Unlimited(EchoBackend):
    def session(self, prompt: Prompt, key: str) -> Session:
        class Forgets(Changed):
            def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                return self.inner.generate(replace(request, turn=replace(request.turn, max_tokens=None)))

        return Forgets(super().session(prompt, key), lambda chunk: [chunk])


class Leaking(EchoBackend):
    """Counts its generations down only where nobody closes them."""

    def session(self, prompt: Prompt, key: str) -> Session:
        backend = self

        class Leaks(Changed):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                backend.left += 1
                async for chunk in self.inner.generate(request):
                    yield chunk
                backend.left -= 1

        return Leaks(super().session(prompt, key), lambda chunk: [chunk])

    left = 0

    async def active(self) -> int:
        return self.left


class Swallowing(EchoBackend):
    def session(self, prompt: Prompt, key: str) -> Session:
        class Swallows(Changed):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                try:
                    async for chunk in self.inner.generate(request):
                        await asyncio.sleep(0.01)  # where the suite cancels it
                        yield chunk
                except asyncio.CancelledError:  # the fault that is to be found
                    yield Chunk(finish="aborted")

        return Swallows(super().session(prompt, key), lambda chunk: [chunk])


class Tasks(EchoBackend):
    async def start(self) -> None:
        self.task = asyncio.create_task(asyncio.sleep(3600))


class Eager(EchoBackend):
    def __init__(self, model: str = "echo", options: EchoOptions | None = None, *, url: str | None = None):
        super().__init__(model, options, url=url)
        if model == "eager":
            Path(__file__).read_text()
        if model == "threads":
            threading.Thread(target=print).start()


class Mixing(EchoBackend):
    """Two sessions at a time share what they are to say."""

    words: Sequence[str] = ()

    def session(self, prompt: Prompt, key: str) -> Session:
        backend, session = self, super().session(prompt, key)

        class Mixes(Changed):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                backend.words = prompt.messages[-1].content.split()
                await asyncio.sleep(0)
                for word in backend.words:
                    yield Chunk(" " + word, 1)
                yield Chunk(finish="end_of_thinking")

        return Mixes(session, lambda chunk: [chunk])


class Remembering(EchoBackend):
    """Goes on from what it has said itself, whatever was kept of it."""

    def session(self, prompt: Prompt, key: str) -> Session:
        class Remembers(Changed):
            said = 0

            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                for i, word in enumerate(prompt.messages[-1].content.split()[self.said :]):
                    if i == request.turn.max_tokens:
                        break
                    self.said += 1
                    yield Chunk(" " + word, 1)
                yield Chunk(finish="length")

        return Remembers(super().session(prompt, key), lambda chunk: [chunk])


class Raising(EchoBackend):
    """Crashes where it should refuse."""

    def session(self, prompt: Prompt, key: str) -> Session:
        class Raises(Changed):
            async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
                if request.turn.sampling or not prompt.messages[-1].content:
                    raise KeyError("sampling")
                if "</think>" in request.thinking:
                    raise RuntimeError("control")
                async for chunk in self.inner.generate(request):
                    yield chunk

        return Raises(super().session(prompt, key), lambda chunk: [chunk])


class Telling(EchoBackend):
    def identity(self) -> Mapping[str, Json]:
        return {"model": self.model, "url": self.url}


class Vague(EchoBackend):
    @property
    def capabilities(self) -> Capabilities:
        self.looks += 1
        return Capabilities(context=self.looks)

    looks = 0


class Shrinking(EchoBackend):
    def session(self, prompt: Prompt, key: str) -> Session:
        class Shrinks(Changed):
            asked = 0

            def usage(self) -> Usage:
                Shrinks.asked += 1
                return Usage(generated=1000 - self.asked)

        return Shrinks(super().session(prompt, key), lambda chunk: [chunk])


class Booking(EchoBackend):
    """Books requests and no tokens."""

    def session(self, prompt: Prompt, key: str) -> Session:
        class Books(Changed):
            def usage(self) -> Usage:
                return Usage(requests=1)

        return Books(super().session(prompt, key), lambda chunk: [replace(chunk, exact=False)])


class Scoring(EchoBackend):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(scoring=True)

    def session(self, prompt: Prompt, key: str) -> Session:
        class Scores_(Changed):
            async def score(self, request: Request, text: str, *, top: int = 0) -> Scores:
                return Scores((0, 900), (TokenLogprob(-1.0), TokenLogprob(-1.0))) if text else Scores((), ())

        return Scores_(super().session(prompt, key), lambda chunk: [chunk])


class Small(EchoBackend):
    """Says that its context is small, and takes what does not fit."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(context=64)


class Counting(EchoBackend):
    def count_tokens(self, text: str) -> int:
        return 1


def odd(chunk: Chunk) -> Sequence[Chunk]:
    return [replace(chunk, ids=(1,), offsets=(0,))] if chunk.text else [chunk]


BACKENDS: Sequence[tuple[str, Backend]] = [
    ("test_a_stream_ends_with_its_one_finish", changing(lambda c: [replace(c, finish="length")])()),
    ("test_a_stream_ends_with_its_one_finish", changing(lambda c: [] if c.finish else [c])()),
    ("test_a_stream_ends_with_its_one_finish", changing(lambda c: [replace(c, ids=(1, 2))])()),
    ("test_a_stream_ends_with_its_one_finish", changing(lambda c: [replace(c, ids=(1,), offsets=(9,))])()),
    ("test_a_stream_ends_with_its_one_finish", changing(odd)()),
    ("test_max_tokens_is_honoured", Unlimited()),
    ("test_max_tokens_is_honoured", changing(lambda c: [Chunk(finish="length")])()),
    ("test_closing_a_stream_stops_the_engine", Leaking()),
    ("test_a_cancelled_reader_stops_the_engine", Leaking()),
    ("test_a_cancelled_reader_stops_the_engine", Swallowing()),
    ("test_close_is_idempotent", Tasks()),
    ("test_concurrent_sessions_do_not_mix", Mixing()),
    ("test_a_session_remembers_nothing_that_the_request_does_not_say", Remembering()),
    ("test_any_text_can_be_asked", Raising()),
    ("test_unknown_sampling_is_no_crash", Raising()),
    ("test_control_strings_in_a_trace_are_text", Raising()),
    ("test_what_it_says_of_itself", Vague()),
    ("test_what_it_says_of_itself", Leaking()),
    ("test_identity_is_safe_to_publish", Telling(url="http://10.1.2.3:8000")),
    ("test_identity_is_safe_to_publish", Telling("/srv/models/mine")),
    ("test_usage_only_grows", Shrinking()),
    ("test_usage_only_grows", Booking()),
    ("test_score_as_claimed", Scoring()),
    ("test_logprobs_as_claimed", changing(lambda c: [c], top_logprobs=5)()),
    ("test_a_trace_beyond_the_context_is_rejected", Small()),
    ("test_it_goes_on_from_anothers_text", changing(lambda c: [c], continuation=False)()),
    ("test_count_tokens", Counting()),
    ("test_thinking_then_answer", changing(lambda c: [replace(c, text=c.text + "</think>")])()),
]


@pytest.mark.parametrize(("name", "backend"), BACKENDS, ids=named)
def test_backends(name: str, backend: Backend) -> None:
    if isinstance(backend, Leaking) and name == "test_what_it_says_of_itself":
        backend.left = 1
    with pytest.raises((*FAILURES, KeyError, RuntimeError, StopAsyncIteration)):

        class TestIt(BackendSuite):
            timeout = 3.0
            patience = 0.2

        getattr(TestIt(), name)(backend)


def test_without_any_count_it_says_what_a_run_says() -> None:
    """See tests/test_misbehaving.py; a count that comes with the last chunk alone is one."""
    silent = changing(lambda c: [replace(c, tokens=0, exact=False)])
    late = changing(lambda c: [replace(c, tokens=9 if c.finish else 0, exact=False)])
    name = "test_a_stream_ends_with_its_one_finish"
    suite: Any = type("TestIt", (BackendSuite,), {})()
    with pytest.raises(AssertionError, match=r"sent \d+ characters and no tokens \(Chunk.tokens\), by which"):
        getattr(suite, name)(silent())
    getattr(suite, name)(late())


def test_the_echo_itself_has_none_of_these_faults() -> None:
    for name in {name for name, _ in BACKENDS}:
        try:
            getattr(type("TestIt", (BackendSuite,), {})(), name)(EchoBackend())
        except pytest.skip.Exception:  # what the echo does not claim is not asked of it
            continue


@pytest.mark.parametrize("model", ["eager", "threads"])
def test_backends_that_work_when_they_are_made(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found(BackendSuite, "test_construction_does_no_work", Eager(model), monkeypatch)


def test_a_plugin_that_hangs_fails_in_time() -> None:
    class Hangs(EchoBackend):
        async def start(self) -> None:
            await asyncio.Event().wait()

    class TestIt(BackendSuite):
        timeout = 0.2

    with pytest.raises(pytest.fail.Exception, match=r"it hangs: not through after 0\.2 s"):
        TestIt().test_count_tokens(Hangs())


def test_scripted_models_are_open_to_any_script() -> None:
    backend = ScriptedBackend(script=lambda prompt, request: ("word </think>", "end_of_thinking"))
    with pytest.raises(AssertionError):
        type("TestIt", (BackendSuite,), {})().test_thinking_then_answer(backend)
