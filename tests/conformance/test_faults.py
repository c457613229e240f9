"""A suite is worth what it finds: plugins with one fault each, and the test that must fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tessy.abc import Backend, Capabilities, Context, Session, StyleDetector, SwitchPolicy
from tessy.draft import Draft
from tessy.errors import PluginError
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.testing import EchoBackend, EchoOptions, ScriptedBackend, ScriptedDetector
from tessy.testing.suites import BackendSuite, StyleDetectorSuite, SwitchPolicySuite
from tessy.testing.suites.base import Suite
from tessy.trajectory import Trajectory
from tessy.types import (
    Chunk,
    Cut,
    Done,
    Json,
    Keep,
    Label,
    Needs,
    Prompt,
    Request,
    Scores,
    TokenLogprob,
    Turn,
    Usage,
    Window,
)

FAILURES = (AssertionError, pytest.fail.Exception)


def named(value: object) -> str:
    return value if isinstance(value, str) else type(value).__name__


def found(suite: type[Suite], name: str, *arguments: Any) -> None:
    """That test of the suite fails."""

    class TestIt(suite):  # type: ignore[misc, valid-type]
        timeout = 2.0

    with pytest.raises(FAILURES):
        getattr(TestIt(), name)(*arguments)


# --- backends ----------------------------------------------------------------------------------------


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
                        await asyncio.sleep(0.01)
                        yield chunk
                except asyncio.CancelledError:
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


def test_the_echo_itself_has_none_of_these_faults() -> None:
    for name in {name for name, _ in BACKENDS}:
        try:
            getattr(type("TestIt", (BackendSuite,), {})(), name)(EchoBackend())
        except pytest.skip.Exception:
            continue


@pytest.mark.parametrize("model", ["eager", "threads"])
def test_backends_that_work_when_they_are_made(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found(BackendSuite, "test_construction_does_no_work", Eager(model), monkeypatch)


# --- detectors ---------------------------------------------------------------------------------------


class Gaps(ScriptedDetector):
    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        return [labels[1:] for labels in await super().label(windows)]


class Late(ScriptedDetector):
    """Labels up to its lookahead and no further, also at the very end."""

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        return await super().label([replace(window, final=False) for window in windows])


class Hasty(ScriptedDetector):
    """Labels what it has, before it is sure."""

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        return await super().label([replace(window, final=True) for window in windows])

    def _one(self, window: Window) -> list[Label]:
        style = not window.text.endswith((".", "e", "i"))
        return [Label(window.new_from, len(window.text), style)]


class Chunky(ScriptedDetector):
    """The first word of each call is style."""

    def _one(self, window: Window) -> list[Label]:
        labels = super()._one(window)
        return (
            [replace(labels[0], style=True), *(replace(i, style=False) for i in labels[1:])] if labels else []
        )


class Mixed(ScriptedDetector):
    """What the first of a batch is, all are."""

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        first = len(windows[0].text) % 2 == 0 if windows else True
        return [[replace(i, style=first) for i in labels] for labels in await super().label(windows)]


class Stubborn(ScriptedDetector):
    """Never forgets what it has read under a key, and takes it for what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.read: dict[str, str] = {}

    def _one(self, window: Window) -> list[Label]:
        known = self.read.get(window.key, "")
        self.read[window.key] = known if len(known) > len(window.text) else window.text
        style = not known
        return [replace(label, style=style) for label in super()._one(window)]


class Crashing(ScriptedDetector):
    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        assert windows[0].text.strip(), "nothing to read"
        return await super().label(windows)

    def forget(self, key: str) -> None:
        raise KeyError(key)


class Farsighted(ScriptedDetector):
    lookahead = 5000


class Nearsighted(ScriptedDetector):
    """Looks further than it says."""

    lookahead = 2

    def _one(self, window: Window) -> list[Label]:
        return [
            replace(label, style=len(window.text[label.end :].split()) % 2 == 0)
            for label in super()._one(window)
        ]


DETECTORS: Sequence[tuple[str, StyleDetector]] = [
    ("test_labels_tile_the_new_text", Gaps()),
    ("test_labels_tile_the_new_text", Late()),
    ("test_labels_never_change", Hasty()),
    ("test_chunks_do_not_matter", Chunky()),
    ("test_labels_do_not_depend_on_where_they_are_asked_from", Chunky()),
    ("test_batches_equal_singles", Mixed()),
    ("test_trajectories_do_not_mix", Mixed()),
    ("test_a_rollback_is_forgotten", Stubborn()),
    ("test_left_of_the_anchor_nothing_matters", Stubborn()),
    ("test_forget", Crashing()),
    ("test_forget", Stubborn()),
    ("test_empty_text", Crashing()),
    ("test_lookahead_is_sane", Farsighted()),
    ("test_nothing_beyond_the_lookahead_matters", Nearsighted()),
]


@pytest.mark.parametrize(("name", "detector"), DETECTORS, ids=named)
def test_detectors(name: str, detector: StyleDetector) -> None:
    with pytest.raises((*FAILURES, KeyError, PluginError)):
        getattr(type("TestIt", (StyleDetectorSuite,), {})(), name)(detector)


# --- policies ----------------------------------------------------------------------------------------


class Policy(TessyPolicy):
    def __init__(self, options: TessyOptions | None = None) -> None:
        super().__init__(options or TessyOptions())


class Moody(Policy):
    """Changes its mind when asked again."""

    turns = 0

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        self.turns += 1
        return replace(turn, memo=self.turns) if isinstance(turn, Turn) else turn


class Private(Policy):
    """Keeps to itself who is next."""

    def __init__(self, options: TessyOptions | None = None) -> None:
        super().__init__(options)
        self.asked = 0

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        if isinstance(turn, Turn) and turn.phase == "think":
            self.asked += 1
            return replace(turn, role=("teacher", "student")[self.asked % 2])
        return turn


class Tired(Policy):
    """Has had enough after so many turns, as far as it remembers."""

    def __init__(self, options: TessyOptions | None = None) -> None:
        super().__init__(options)
        self.turns = 0

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        self.turns += 1
        return Turn("student", "answer") if isinstance(turn, Turn) and self.turns > 6 else turn


class Meddling(Policy):
    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        trajectory.length += 1
        return super().next_turn(trajectory)


class Tuples(Policy):
    def watch(self, draft: Draft) -> Cut | None:
        cut = super().watch(draft)
        return None if cut is None else replace(cut, note={"places": (cut.at, 1)})


class Arrivals(Policy):
    """Cuts where the stream happens to be."""

    def watch(self, draft: Draft) -> Cut | None:
        return Cut(draft.settled - 1) if draft.settled > 30 and draft.finish is None else None


class Outside(Policy):
    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        return Cut(len(draft) + 5)


class Undeclared(Policy):
    @property
    def needs(self) -> Needs:
        return Needs(roles=("student", "teacher", "judge"), labels=True)

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        return replace(turn, role="critic") if isinstance(turn, Turn) else turn


class Endless(Policy):
    """Answers and answers."""

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        turn = super().next_turn(trajectory)
        return Turn("student", "answer") if isinstance(turn, Done) else turn


class Giddy(Policy):
    """Wants others at every look."""

    looks = 0

    @property
    def needs(self) -> Needs:
        Giddy.looks += 1
        return Needs(labels=self.looks % 2 == 0)


class Brittle(Policy):
    """Takes for granted that somebody has written something."""

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        return Keep(note=draft.text.split()[0])


class Secretive(Policy):
    def identity(self) -> Mapping[str, Any]:
        return {"folder": str(Path.home() / "policies")}


class Reading(Policy):
    def __init__(self, options: TessyOptions | None = None) -> None:
        super().__init__(options)
        self.table = Path(__file__).read_text()


POLICIES: Sequence[tuple[str, SwitchPolicy]] = [
    ("test_next_turn_is_pure", Moody()),
    ("test_next_turn_is_pure", Private()),
    ("test_next_turn_is_pure", Meddling()),
    ("test_resumed_after_every_turn", Tired()),
    ("test_notes_are_json", Tuples()),
    ("test_the_same_rows_again", Arrivals()),
    ("test_it_finishes_whole_traces", Outside()),
    ("test_it_finishes_whole_traces", Undeclared()),
    ("test_it_finishes_whole_traces", Endless()),
    ("test_needs_are_well_formed", Giddy()),
    ("test_a_silent_model_ends_its_trace", Brittle()),
    ("test_identity_is_safe_to_publish", Secretive()),
    ("test_construction_does_no_work", Reading()),
]


@pytest.mark.parametrize(("name", "policy"), POLICIES, ids=named)
def test_policies(name: str, policy: SwitchPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = getattr(type("TestIt", (SwitchPolicySuite,), {})(), name)
    wanted = {"tmp_path": tmp_path, "monkeypatch": monkeypatch}
    names = (
        test.__wrapped__.__code__.co_varnames if hasattr(test, "__wrapped__") else test.__code__.co_varnames
    )
    with pytest.raises(FAILURES):
        test(policy, **{name: value for name, value in wanted.items() if name in names})


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
