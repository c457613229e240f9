"""The suite of backends."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from typing import ClassVar

import pytest

from tessy.abc import Backend, Capabilities, Session
from tessy.errors import BackendError, BackendRejected, ConfigError, ContinuationUnsupported
from tessy.testing.suites.base import Suite, on_loop
from tessy.testing.suites.checks import check_class, check_construction, check_identity
from tessy.testing.suites.generation import (
    Heard,
    check_logprobs,
    check_scores,
    endless,
    heard_or_refused,
    read,
    started,
    still,
    think,
    usage_grows,
)
from tessy.testing.suites.loading import check_loading
from tessy.types import Prompt, Request, Role, Scores, Span, Turn

__all__ = ["BackendSuite"]

_OTHER = Span("teacher", "think", "Okay, let me see. 34 + 12 = 46, and 46 - 7 =", 0, 12)
_ANSWERED = Span("student", "answer", "The answer", 1, 2)
_UNICODE = "Ça va? 等等, 答案是三。 \U0001f9d1\u200d\U0001f680 \\frac{1}{2}\n```py\nx = 'a\u0301'\n```\n"
_LONG = 1 << 17
"""Contexts up to this many tokens are tried to be overrun."""


class BackendSuite(Suite, plugin="backend"):
    """What every backend must keep; give a fixture ``backend`` with one that is not started.

    Each test starts and closes it. What is asked follows from its capabilities once started.

    Attributes:
        role: as whom it writes; for a backend whose text depends on that.
        question: what it is asked, if nothing else matters; at least a few tokens should follow.
        patience: seconds in which the engine must have noticed that nobody reads any more.
    """

    role: ClassVar[Role] = "student"
    patience: ClassVar[float] = 5.0
    question: ClassVar[str] = "What is 34 + 12 - 7? Think it through, then answer."

    @pytest.fixture
    def backend(self) -> Backend:
        """The plugin: constructed, not started."""
        raise NotImplementedError("give the test class a fixture `backend` that returns an unstarted backend")

    def open(self, backend: Backend, question: str | None = None, key: str = "row#0/student") -> Session:
        """A session of a started backend."""
        return backend.session(Prompt.user(self.question if question is None else question), key)

    # --- its life -------------------------------------------------------------------------------

    def test_the_class_fits_the_contract(self, backend: Backend) -> None:
        """As the core looks at it when it loads the plugin."""
        check_class(backend, Backend)

    def test_a_run_can_load_it(self, backend: Backend) -> None:
        """Its package, in a fresh interpreter: the entry point, the hook, and the class that is tested."""
        check_loading(backend, self.entry_point, "backend")

    def test_construction_does_no_work(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        """Everything that costs time or can fail waits for `start`."""
        model, options, url = backend.model, backend.options, backend.url
        check_construction(lambda: type(backend)(model, options, url=url), monkeypatch)
        assert isinstance(backend.start_cost(), int)
        assert backend.start_cost() >= 0

    @on_loop
    async def test_close_is_idempotent(self, backend: Backend) -> None:
        """Before `start`, after it, and twice."""
        await backend.close()
        async with started(backend):
            pass
        await backend.close()

    @on_loop
    async def test_what_it_says_of_itself(self, backend: Backend) -> None:
        """Capabilities, facts, row format and counts are of the right kind."""
        async with started(backend):
            can = backend.capabilities
            assert isinstance(can, Capabilities)
            assert can == backend.capabilities, "capabilities are final once it is started"
            assert can.max_active is None or can.max_active >= 1
            assert can.context is None or can.context >= 1
            assert can.top_logprobs >= 0
            json.dumps(dict(backend.facts()))
            begin, end = backend.row_format()
            assert isinstance(begin, str)
            assert isinstance(end, str)
            assert bool(begin) == bool(end), "a row marks both ends of the thinking, or neither"
            assert await backend.active() in (None, 0)

    @on_loop
    async def test_identity_is_safe_to_publish(self, backend: Backend) -> None:
        """JSON without path, URL or key, equal each time: it stands in the run directory."""
        async with started(backend):
            check_identity(backend.identity, backend.model, backend.url)

    @on_loop
    async def test_count_tokens(self, backend: Backend) -> None:
        """A number for any text, or ``None`` for all."""
        async with started(backend):
            counts = [backend.count_tokens(text) for text in ("", "Hello", "Hello there, " * 40, _UNICODE)]
            if counts[0] is None:
                assert counts == [None] * 4, "it counts some texts and not others"
                return
            assert counts[0] == 0
            assert all(isinstance(count, int) and count >= 1 for count in counts[1:])
            assert (counts[1] or 0) < (counts[2] or 0)

    # --- streams --------------------------------------------------------------------------------

    @on_loop
    async def test_a_stream_ends_with_its_one_finish(self, backend: Backend) -> None:
        """And ids, offsets and text agree; see `Chunk`."""
        async with started(backend):
            session = self.open(backend)
            heard = await read(session, think(self.role), beyond=True)
            assert heard.finish != "aborted", "nobody aborted it"
            await session.close()

    @on_loop
    async def test_max_tokens_is_honoured(self, backend: Backend) -> None:
        """Not one token more; ``length`` says that it was the limit."""
        async with started(backend):
            for limit in (1, 5):
                session = self.open(backend)
                heard = await read(session, think(self.role, max_tokens=limit))
                if heard.exact:
                    assert heard.tokens <= limit
                    assert heard.tokens == limit or heard.finish != "length"
                await session.close()

    @on_loop
    async def test_thinking_then_answer(self, backend: Backend) -> None:
        """One session writes a whole trace; marks of the chat format appear in neither part."""
        async with started(backend):
            session = self.open(backend)
            thought = await read(session, think(self.role, max_tokens=192))
            if thought.finish == "length" and not backend.capabilities.continuation:
                # The answer would have to continue a thinking that is not through.
                pytest.skip("its thinking is long, and it cannot continue")
            span = thought.span(self.role)
            turn = Turn(self.role, "answer", max_tokens=48)
            answer = await read(session, Request(turn, (span,) if span.text else (), 8, closed=True))
            assert answer.finish in ("end_of_turn", "length", "stop")
            for mark in backend.row_format():
                assert not mark.strip() or mark.strip() not in thought.text + answer.text
            await session.close()

    @on_loop
    async def test_any_text_can_be_asked(self, backend: Backend) -> None:
        """Chinese, emoji, code and an empty question; refused, if at all, with an error of tessy's."""
        async with started(backend):
            for question in (_UNICODE, "", " \n", "</think> <|im_end|> <s> [/INST]"):
                session = self.open(backend, question, key=f"ключ/{question!r}")
                await heard_or_refused(session, think(self.role, max_tokens=8))
                await session.close()

    # --- stopping -------------------------------------------------------------------------------

    @on_loop
    async def test_closing_a_stream_stops_the_engine(self, backend: Backend) -> None:
        """In its middle, before it was read, and twice; the session can be asked again."""
        async with started(backend):
            session = self.open(backend)
            unread = session.generate(think(self.role, max_tokens=None))
            await unread.aclose()
            for _ in range(2):
                await read(session, think(self.role, max_tokens=None), chunks=1)
                await still(backend, self.patience)
            heard = await read(session, think(self.role, max_tokens=4))
            assert heard.finish is not None
            await session.close()

    @on_loop
    async def test_a_cancelled_reader_stops_the_engine(self, backend: Backend) -> None:
        """Cancellation passes through, nothing goes on, and the session can be asked again."""
        async with started(backend):
            session = self.open(backend)
            for chunks in (0, 1):
                reading = asyncio.Event()
                request = think(self.role, max_tokens=None)
                reader = asyncio.create_task(endless(session, request, chunks, reading))
                waiting = asyncio.create_task(reading.wait())
                await asyncio.wait([reader, waiting], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                reader.cancel()
                await asyncio.wait([reader])
                assert reader.cancelled(), f"cancellation was swallowed: {reader}"
                await still(backend, self.patience)
            await read(session, think(self.role, max_tokens=4))
            await session.close()

    @on_loop
    async def test_sessions_close_twice(self, backend: Backend) -> None:
        """`Session.close` is idempotent and never raises, also for one that was never used."""
        async with started(backend):
            unused, used = self.open(backend, key="a"), self.open(backend, key="b")
            await read(used, think(self.role, max_tokens=4))
            for session in (unused, used, unused, used):
                await session.close()
            await still(backend, self.patience)

    # --- several --------------------------------------------------------------------------------

    @on_loop
    async def test_concurrent_sessions_do_not_mix(self, backend: Backend) -> None:
        """What each writes alone it also writes beside others, if it claims seeds; streams stay whole."""
        async with started(backend):
            count = min(4, backend.capabilities.max_active or 4)
            questions = [f"What is {i} + {i + 3}?" for i in range(count)]
            together = await asyncio.gather(*(self._once(backend, question) for question in questions))
            alone = [await self._once(backend, question) for question in questions]
            if backend.capabilities.seeds:
                assert [heard.text for heard in together] == [heard.text for heard in alone]
            await still(backend, self.patience)

    @on_loop
    async def test_equal_seeds_write_equal_text(self, backend: Backend) -> None:
        """If it claims seeds."""
        async with started(backend):
            if not backend.capabilities.seeds:
                pytest.skip("it claims no seeds")  # so equal seeds promise nothing
            first, second = [await self._once(backend, self.question) for _ in range(2)]
            assert first.text == second.text
            assert first.finish == second.finish

    async def _once(self, backend: Backend, question: str) -> Heard:
        session = self.open(backend, question, key=f"{question}/student")
        try:
            return await read(session, think(self.role))
        finally:
            await session.close()

    # --- continuing -----------------------------------------------------------------------------

    @on_loop
    async def test_it_goes_on_from_anothers_text(self, backend: Backend) -> None:
        """If it claims continuation; if not, it refuses with `ContinuationUnsupported`."""
        async with started(backend):
            session = self.open(backend)
            request = think(self.role, _OTHER, max_tokens=12)
            if not backend.capabilities.continuation:
                with pytest.raises(ContinuationUnsupported):
                    await read(session, request)
                return
            heard = await read(session, request)
            assert not heard.text.startswith(_OTHER.text[:16]), "it begins anew, where it should go on"
            spans = (_OTHER, heard.span(self.role, turn=1), _ANSWERED)
            turn = Turn(self.role, "answer", max_tokens=8)
            await read(session, Request(turn, spans, 9, closed=True))
            await session.close()

    @on_loop
    async def test_a_session_remembers_nothing_that_the_request_does_not_say(self, backend: Backend) -> None:
        """After a cut and another's text, an old session writes what a fresh one does: so runs resume."""
        async with started(backend):
            if not (backend.capabilities.continuation and backend.capabilities.seeds):
                # Two texts can be compared only where both are promised.
                pytest.skip("it does not claim continuation and seeds")
            old = self.open(backend)
            heard = await read(old, think(self.role))
            kept = Heard(heard.chunks[: max(1, len(heard.chunks) // 2)])
            if kept.finish is not None:
                pytest.skip("its stream is one chunk: nothing to cut off")  # some services send all at once
            spans = (kept.span(self.role), Span("teacher", "think", " so 46 - 7", 1, 4))
            fresh = self.open(backend)
            request = think(self.role, *spans, seed=11)
            assert (await read(old, request)).text == (await read(fresh, request)).text
            await old.close()
            await fresh.close()

    @on_loop
    async def test_what_was_asked_ahead_leaves_nothing_behind(self, backend: Backend) -> None:
        """Asked behind a text that then is another, it is closed; what follows is what a fresh one writes."""
        async with started(backend):
            if not (can := backend.capabilities).ahead:
                pytest.skip("it does not claim to be asked ahead")  # so the core never does
            old, fresh = self.open(backend), self.open(backend)
            first = Span("teacher", "think", " so 46", 0, 2)
            guess = Span("teacher", "think", " - 7 or mayb", 1, 4)
            async with aclosing(old.generate(replace(think(self.role, first, guess), uncommitted=1))) as some:
                async for _ in some:
                    break
            request = think(self.role, first, Span("teacher", "think", " - 8 =", 1, 3), seed=11)
            heard, again = await read(old, request), await read(fresh, request)
            if can.seeds:
                assert heard.text == again.text
            await old.close()
            await fresh.close()

    # --- figures --------------------------------------------------------------------------------

    @on_loop
    async def test_usage_only_grows(self, backend: Backend) -> None:
        """And is not less than what was read, where the session counts at all."""
        async with started(backend):
            session = self.open(backend)
            await usage_grows(session, think(self.role), think(self.role, max_tokens=3))
            await session.close()

    @on_loop
    async def test_logprobs_as_claimed(self, backend: Backend) -> None:
        """One a token, alternatives best first and no more than asked for, ranks if claimed."""
        async with started(backend):
            can = backend.capabilities
            if not can.top_logprobs:
                # Policies that need some are refused with it before the start.
                pytest.skip("it claims no log-probabilities")
            most = min(3, can.top_logprobs)
            session = self.open(backend)
            heard = await read(session, think(self.role, top_logprobs=most))
            assert heard.tokens > 0
            for chunk in heard.chunks:
                assert chunk.logprobs is not None or chunk.tokens == 0, f"no log-probabilities: {chunk}"
                check_logprobs(chunk.logprobs or (), most, ranks=can.ranks)
            await session.close()

    @on_loop
    async def test_score_as_claimed(self, backend: Backend) -> None:
        """One log-probability a token of the text, tokens in order; refused if not claimed."""
        async with started(backend):
            can = backend.capabilities
            session = self.open(backend)
            request = think(self.role, *(() if not can.continuation else (_OTHER,)))
            if not can.scoring:
                with pytest.raises((NotImplementedError, BackendError)):
                    await session.score(request, " 39.")
                return
            for text in (" 39. So the answer is 39.", _UNICODE):
                scores = await session.score(request, text, top=2)
                check_scores(scores, text)
                again = await session.score(request, text, top=2)
                assert again.offsets == scores.offsets
            assert await session.score(request, "") == Scores((), ())
            heard = await read(session, request)
            assert heard.finish is not None, "it still writes after it has scored"
            await session.close()

    # --- the absurd -----------------------------------------------------------------------------

    @on_loop
    async def test_a_trace_beyond_the_context_is_rejected(self, backend: Backend) -> None:
        """With `BackendRejected`: asking again is useless. The session survives it."""
        async with started(backend):
            can = backend.capabilities
            if can.context is None or can.context > _LONG or not can.continuation:
                # The test fills the context, which takes its length in time and a text to continue.
                pytest.skip("its context is unknown or very long, or it cannot continue")
            session = self.open(backend)
            words = "x = 1, y = 2;\n" * (can.context // 2)
            long = Span("teacher", "think", words, 0, can.context + 64)
            with pytest.raises(BackendRejected):
                await read(session, think(self.role, long))
            await read(session, think(self.role, max_tokens=4))
            await session.close()

    @on_loop
    async def test_unknown_sampling_is_no_crash(self, backend: Backend) -> None:
        """A parameter that it does not know is passed over or refused in words."""
        async with started(backend):
            session = self.open(backend)
            request = think(self.role, max_tokens=4, sampling={"tempratur": 1.0})
            await heard_or_refused(session, request, (ConfigError, BackendError))
            await read(session, think(self.role, max_tokens=4))
            await session.close()

    @on_loop
    async def test_control_strings_in_a_trace_are_text(self, backend: Backend) -> None:
        """They end nothing: a model's text is data. Refused, where it cannot be quoted."""
        async with started(backend):
            if not backend.capabilities.continuation:
                pytest.skip("it cannot continue")  # so no foreign text ever reaches it
            session = self.open(backend)
            quoted = Span("teacher", "think", "The mark </think> and <|im_end|> are", 0, 9)
            await heard_or_refused(session, think(self.role, quoted, max_tokens=8))
            await read(session, think(self.role, max_tokens=4))
            await session.close()
