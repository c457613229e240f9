"""The suite of switch policies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tessy.abc import Backend, StyleDetector, SwitchPolicy
from tessy.journal.codec import prompt_from, prompt_to, span_from, span_to, turn_from, turn_to
from tessy.needs import nonsense
from tessy.plan import Outcome
from tessy.seeds import derive
from tessy.testing.clock import VirtualTimeLoop
from tessy.testing.scripted import Script, ScriptedBackend, ScriptedOptions
from tessy.testing.suites.base import Suite, on_loop
from tessy.testing.suites.checks import check_class, check_construction, check_identity, check_options
from tessy.testing.suites.loading import check_loading
from tessy.testing.suites.runs import Cast, Trace, Watcher, check_row, data, traces, write
from tessy.testing.words import ScriptedDetector
from tessy.trajectory import Trajectory
from tessy.types import Done, Finish, Prompt, Request, Role, Turn

__all__ = ["SwitchPolicySuite"]

_FAULTS = ("plugin", "internal", "error", "config")
"""Reasons of failures that are somebody's fault; any other may end a trajectory that cannot be finished."""
_INTERRUPTIONS = 2000


class SwitchPolicySuite(Suite, plugin="policy"):
    """What every switch policy must keep; give a fixture ``policy`` with one.

    It writes whole traces with scripted models, on virtual time, through the core's own writer and journal.
    Override `backend` where a role must say something in particular (a judge's rating), `detector` where
    the labels must be particular ones, or `cast` for both.
    """

    loop_factory: ClassVar[Callable[[], asyncio.AbstractEventLoop] | None] = VirtualTimeLoop

    @pytest.fixture
    def policy(self) -> SwitchPolicy:
        """The plugin."""
        raise NotImplementedError("give the test class a fixture `policy` that returns one")

    def backend(self, role: Role, options: ScriptedOptions) -> Backend:
        """The model that plays ``role``; ``options`` say how much it writes, and in what pieces.

        By default its odds are made up, so it has log-probabilities and scores for policies that need some.
        """
        return ScriptedBackend(role, options, odds=partial(_odds, role))

    def detector(self) -> StyleDetector:
        """Who labels, if the policy wants labels."""
        return ScriptedDetector()

    def cast(self, policy: SwitchPolicy, **options: Any) -> Cast:
        """A new cast: a policy like that one, which remembers nothing, with models and a detector."""
        policy = type(policy)(policy.options)
        made = ScriptedOptions(**{"think": 40, "answer": 6, **options})
        backends = {role: self.backend(role, made) for role in policy.needs.roles}
        return Cast(policy, backends, self.detector() if policy.needs.labels else None)

    # --- what it says of itself -----------------------------------------------------------------

    def test_the_class_fits_the_contract(self, policy: SwitchPolicy) -> None:
        """As the core looks at it when it loads the plugin."""
        check_class(policy, SwitchPolicy)

    def test_a_run_can_load_it(self, policy: SwitchPolicy) -> None:
        """Its package, in a fresh interpreter: the entry point, the hook, and the class that is tested."""
        check_loading(policy, self.entry_point, "policy")

    def test_construction_does_no_work(self, policy: SwitchPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
        """A policy is built to be shown, too: ``tessy plugins``, ``--dry-run``."""
        check_construction(lambda: type(policy)(policy.options), monkeypatch)

    def test_options_are_described_and_strict(self, policy: SwitchPolicy) -> None:
        """It can be built from defaults, refuses what it does not know, and each option says what it is."""
        check_options(type(policy).Options)
        type(policy)(type(policy).Options())

    def test_needs_are_well_formed(self, policy: SwitchPolicy) -> None:
        """Roles that exist, each once; the same at every look."""
        needs = policy.needs
        wrong = nonsense(needs)
        assert wrong is None, wrong
        assert needs == policy.needs == type(policy)(policy.options).needs
        assert len(set(needs.roles)) == len(needs.roles), f"a role stands twice in {needs.roles}"
        assert isinstance(policy.candidates, int)
        assert policy.candidates >= 1

    def test_identity_is_safe_to_publish(self, policy: SwitchPolicy) -> None:
        """JSON, equal each time: it stands in the run directory."""
        check_identity(policy.identity, None, None)

    # --- whole traces ---------------------------------------------------------------------------

    @on_loop
    async def test_it_finishes_whole_traces(self, policy: SwitchPolicy, tmp_path: Path) -> None:
        """Every character has an author among its roles."""
        cast = self.cast(policy)
        await self._written(tmp_path / "run", cast)
        for trace in traces(tmp_path / "run"):
            assert {turn.role for turn in trace.turns} <= set(cast.policy.needs.roles)
        student = cast.backends.get("student") or next(iter(cast.backends.values()))
        for row in data(tmp_path / "run"):
            check_row(row, cast.policy.needs.roles, student.row_format())

    @on_loop
    async def test_the_same_rows_again(self, policy: SwitchPolicy, tmp_path: Path) -> None:
        """Byte for byte, however many are written at once and in whatever pieces their text comes."""
        first = await self._written(tmp_path / "run", self.cast(policy))
        assert first == await self._written(tmp_path / "alone", self.cast(policy), concurrency=1)
        for chunk in (3, 16):
            again = await self._written(tmp_path / f"chunk{chunk}", self.cast(policy, chunk=chunk))
            assert again == first, f"other rows when {chunk} tokens arrive at once"

    @on_loop
    async def test_resumed_after_every_turn(self, policy: SwitchPolicy, tmp_path: Path) -> None:
        """A run interrupted after each turn, and gone on with anew, gives the rows of an undisturbed one."""
        whole = await self._written(tmp_path / "whole", self.cast(policy))
        for i in count():
            assert i < _INTERRUPTIONS, "it never comes to its end"
            watcher = Watcher(stop_after=1)
            outcome = await write(tmp_path / "torn", self.cast(policy), watcher)
            assert not watcher.failures, watcher.failures[0].message
            if outcome is not None:
                break
        assert (tmp_path / "torn" / "data.jsonl").read_bytes() == whole

    @on_loop
    async def test_next_turn_is_pure(self, policy: SwitchPolicy, tmp_path: Path) -> None:
        """Asked twice, or of a trajectory that went through the journal, it answers the same."""
        await self._written(tmp_path / "run", self.cast(policy))
        for trace in traces(tmp_path / "run"):
            for n in range(len(trace.turns) + 1):
                old, new = _at(trace, n), _reborn(_at(trace, n))
                turn = policy.next_turn(old)
                assert turn == policy.next_turn(old), "next_turn answers otherwise when asked again"
                assert _same(old, _at(trace, n)), "next_turn changed the trajectory; only the writer may"
                other = type(policy)(policy.options)
                assert turn == other.next_turn(new), "after a resume next_turn answers otherwise"
                if n < len(trace.turns):
                    assert isinstance(turn, Turn)
                    assert (turn.role, turn.phase) == (trace.turns[n].role, trace.turns[n].phase)
                else:
                    assert isinstance(turn, Done)

    @on_loop
    async def test_notes_are_json(self, policy: SwitchPolicy, tmp_path: Path) -> None:
        """They come back from the journal as they were: no tuples, no keys that are numbers."""
        watcher = Watcher()
        await write(tmp_path / "run", self.cast(policy), watcher)
        for record in watcher.records:
            assert json.loads(json.dumps(record.note)) == record.note

    # --- models that do not behave --------------------------------------------------------------

    @on_loop
    async def test_an_endless_model_reaches_the_limit(self, policy: SwitchPolicy, tmp_path: Path) -> None:
        """A trace that finds no end is ended by the limit on its length."""

        def endless(prompt: Prompt, request: Request) -> tuple[Any, Finish]:
            return (f" {'so' if i % 7 < 3 else 'c2'}" for i in count()), "end_of_turn"

        await self._ended(tmp_path / "run", policy, endless, max_length=300)

    @on_loop
    async def test_a_silent_model_ends_its_trace(self, policy: SwitchPolicy, tmp_path: Path) -> None:
        """Models that never write a character do not keep a run busy for ever."""
        finishes: tuple[Finish, ...] = ("length", "end_of_thinking", "end_of_turn")
        for finish in finishes:
            await self._ended(tmp_path / finish, policy, lambda prompt, request, f=finish: ("", f))  # type: ignore[misc]

    @on_loop
    async def test_a_model_that_forgets_to_close_its_thinking(
        self, policy: SwitchPolicy, tmp_path: Path
    ) -> None:
        """An end of turn in the thinking is an answer's beginning or a failure, never an endless loop."""
        cast = self.cast(policy, ends="turn")
        await self._settled(tmp_path / "run", cast)

    @on_loop
    async def test_text_of_one_kind(self, policy: SwitchPolicy, tmp_path: Path) -> None:
        """A whole trace of style, or of capability, is a normal case."""
        for name, word in (("style", " hmm,"), ("capability", " c12")):
            cast = self.cast(policy)
            _rescript(cast.backends, _only(word))
            await self._settled(tmp_path / name, cast)

    async def _written(self, folder: Path, cast: Cast, **options: Any) -> bytes:
        """The rows of a run in which nothing may fail."""
        watcher = Watcher()
        outcome = await write(folder, cast, watcher, **options)
        assert outcome is not None
        assert not watcher.failures, f"{watcher.failures[0].reason}: {watcher.failures[0].message}"
        assert outcome.done == outcome.total
        return (folder / "data.jsonl").read_bytes()

    async def _settled(self, folder: Path, cast: Cast, **options: Any) -> Outcome:
        """A run whose rows are finished or end with a typed failure that is nobody's fault."""
        watcher = Watcher()
        outcome = await write(folder, cast, watcher, **options)
        assert outcome is not None
        assert outcome.done + outcome.failed == outcome.total
        for failure in watcher.failures:
            assert failure.reason not in _FAULTS, f"{failure.reason}: {failure.message}"
        return outcome

    async def _ended(self, folder: Path, policy: SwitchPolicy, script: Script, **options: Any) -> None:
        cast = self.cast(policy)
        _rescript(cast.backends, script)
        await self._settled(folder, cast, **options)


def _odds(role: Role, so_far: str, word: str) -> dict[str, float]:
    """Anything from sure to lost, by the last words alone; what is written is not always likeliest."""
    own = 0.05 + derive(role, so_far[-24:], word) % 90 / 100
    return {word: own, " hmm,": (1 - own) * 0.6, " c0": (1 - own) * 0.3}


def _only(word: str) -> Script:
    """Twelve such words of thinking, then an answer."""

    def script(prompt: Prompt, request: Request) -> tuple[str, Finish]:
        if request.turn.phase == "answer":
            return " done", "end_of_turn"
        return word * max(0, 12 - len(request.thinking.split())), "end_of_thinking"

    return script


def _rescript(backends: Mapping[Role, Backend], script: Script) -> None:
    """Let the two who write say something else; a judge goes on judging."""
    for role in ("teacher", "student"):
        backend = backends.get(role)
        if isinstance(backend, ScriptedBackend):
            backend.script = script


def _at(trace: Trace, n: int) -> Trajectory:
    """The trajectory when ``n`` turns were finished."""
    spans = [span for span in trace.spans if span.turn < n]
    return Trajectory(
        trace.job.prompt,
        row=trace.job.row,
        sample=trace.job.sample,
        candidate=trace.candidate,
        prepared=trace.prepared,
        spans=spans,
        turns=trace.turns[:n],
        length=sum(span.tokens for span in spans),
    )


def _reborn(trajectory: Trajectory) -> Trajectory:
    """The same as the journal gives it back."""
    return Trajectory(
        prompt_from(prompt_to(trajectory.prompt)),
        row=trajectory.row,
        sample=trajectory.sample,
        candidate=trajectory.candidate,
        prepared=trajectory.prepared,
        spans=[span_from(span_to(span)) for span in trajectory.spans],
        turns=[turn_from(turn_to(turn)) for turn in trajectory.turns],
        length=trajectory.length,
    )


def _same(one: Trajectory, other: Trajectory) -> bool:
    return (one.spans, one.turns, one.length) == (other.spans, other.turns, other.length)
