"""A started student that rates rows as training would see them: its own tokens of each phase's whole text.

Kinds are those of one style detector for all rows: rows that were written without one have kinds too, and a
run's figures for style can be set beside another's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tessy.abc import Backend, Session
from tessy.boundary import Origin, plugin
from tessy.config import Maker
from tessy.detection import Detection
from tessy.errors import ConfigError, DataError, PluginError
from tessy.labelling.streaming import detecting, label_stretches
from tessy.metrics import Piece, Token, attribute, count_terms, split_kinds, sum_up
from tessy.rundata import Row, RunData
from tessy.scoring.store import Record
from tessy.spec import Spec
from tessy.tokens.signature import alike, signature
from tessy.types import Message, Phase, Prompt, Request, Scores, Span, Turn
from tessy.variables import fold, names

if TYPE_CHECKING:
    from tessy.plugins import Registry

__all__ = ["Scorer", "content_of", "started_scorer"]

_ROLE = "student"
_DATA = "data"
"""Who has written a row's text, to the student that rates it: nobody whose tokens it knows."""


class _Rated(NamedTuple):
    text: str
    offsets: Sequence[int]
    tokens: list[Token]


class Scorer:
    """Rates rows, any number at a time.

    Args:
        backend: the student, started.
        origin: the plugin it is.
        detection: the started detector that tells kinds; ``None``: kinds are as the rows have them.
        variables: names of those that its SPEC mentions.

    Raises:
        ConfigError: the student cannot score.
    """

    def __init__(
        self,
        backend: Backend,
        origin: Origin,
        detection: Detection | None = None,
        variables: frozenset[str] = frozenset(),
    ) -> None:
        self.backend = backend
        self.origin = origin
        self._detection = detection
        with plugin(origin, "capabilities"):
            can = backend.capabilities
        if not can.scoring:
            raise ConfigError(
                f"{origin} with model {backend.model!r} cannot score: it gives no log-probabilities of a "
                "text that is there already; an engine in this process or its own server can"
            )
        self.max_active: int | None = can.max_active
        with plugin(origin, "identity"):
            said: dict[str, Any] = orjson.loads(orjson.dumps(dict(backend.identity())))
        said.pop("sampling", None)  # ratings do not depend on it
        # Variables may hold secrets: what a plugin made of them is written with their names again.
        self.identity: Mapping[str, Any] = fold(
            {"backend": origin.name, **said, "kinds": _kinds(detection)}, variables
        )
        with plugin(origin, "row_format"):
            self._thinks = backend.row_format() != ("", "")

    def check_tokenizer(self, run: RunData) -> None:
        """See that this is a student such as the run had.

        Raises:
            ConfigError: it has another tokenizer; its figures would say nothing of the run's student.
        """
        recorded = run.tokenizers().get(_ROLE)
        with plugin(self.origin, "count_tokens"):
            ours = signature(self.backend.count_tokens)
        if recorded is not None and ours is not None and not alike(recorded, ours):
            raise ConfigError(
                f"{run.folder}: its student had another tokenizer than "
                f"{self.origin.name}:{self.backend.model}; name the student of the run, or give "
                "--any-tokenizer to score it for another"
            )

    async def rate(self, row: Row) -> Record:
        """The sums over a row's tokens.

        Raises:
            BackendError, PluginError: the engine failed, or refused this row.
            ConfigError: the row has thinking, and the student's chat format has none.
        """
        if row.thinking and not self._thinks:
            raise ConfigError(
                f"{row.where}: row {row.id!r} has thinking, and the chat format of student "
                f"{self.backend.model!r} has none; name one that does with template="
            )
        prompt = Prompt(tuple(Message(one["role"], one["content"]) for one in row.messages[:-1]))
        with plugin(self.origin, "session"):
            session = self.backend.session(prompt, f"score/{row.id}")
        try:
            phases = [await self._phase(session, row, phase) for phase in ("think", "answer")]
        finally:
            with plugin(self.origin, "close"):
                await session.close()
        bag = count_terms(
            (one.text, one.offsets, [token.kind == "style" for token in one.tokens]) for one in phases
        )
        return Record(row.id, content_of(row), prompt_of(row), sum_up([one.tokens for one in phases]), bag)

    async def _phase(self, session: Session, row: Row, phase: Phase) -> _Rated:
        text = row.thinking if phase == "think" else row.answer
        if not text:
            return _Rated("", (), [])
        before: tuple[Span, ...] = ()
        if phase == "answer" and row.thinking:
            before = (Span(_DATA, "think", row.thinking, 0, 0),)
        request = Request(Turn(_ROLE, phase), before, seed=0, closed=phase == "answer")
        with plugin(self.origin, "score"):
            scores = await session.score(request, text)
            _check(self.origin, scores, row)
        pieces = _pieces(row, phase)
        if phase == "think" and self._detection is not None:
            # As one text by whoever wrote most of it: what is style must not depend on where authors change.
            author = max(row.tessy["tokens"].items(), key=lambda item: item[1])[0]
            style = await label_stretches(self._detection, f"score/{row.id}", text, author)
            pieces = split_kinds(pieces, style)
        return _Rated(text, scores.offsets, list(attribute(scores, pieces, phase)))


@asynccontextmanager
async def started_scorer(
    spec: str, registry: Registry, *, detector: str | None = None, recorded_kinds: bool = False
) -> AsyncIterator[Scorer]:
    """The student of a SPEC, started; closed at the end.

    ``detector`` is the SPEC of the one that tells kinds (``None``: a run's default); with ``recorded_kinds``
    they are as rows have them.

    Raises:
        ConfigError: the SPEC or an option is wrong, or the backend cannot score.
        BackendError: it cannot start.
    """
    chosen = Spec.parse("backend", spec)
    if chosen.role not in (None, _ROLE):
        raise ConfigError(f"--student {spec}: this names role {chosen.role!r}; the student scores")
    backend = Maker(registry, os.environ).backend(f"backend {_ROLE}", chosen)
    origin = registry.origin("backend", chosen.name)
    variables = frozenset(names([chosen.model, chosen.urls, chosen.options, detector]))
    async with AsyncExitStack() as stack:
        detection = None
        if not recorded_kinds:  # first: a mistake in its SPEC is found before a large model is loaded
            detection = await stack.enter_async_context(detecting(detector, registry))
        stack.push_async_callback(_close, origin, backend)
        with plugin(origin, "start"):
            await backend.start()
        yield Scorer(backend, origin, detection, variables)


async def _close(origin: Origin, backend: Backend) -> None:
    with plugin(origin, "close"):
        await backend.close()


def content_of(row: Row) -> str:
    """A hash over all that a rating depends on."""
    return _hash([row.messages, row.spans])


def prompt_of(row: Row) -> str:
    """A hash over a row's prompt, without system messages: policies may add one."""
    return _hash([one for one in row.messages[:-1] if one["role"] != "system"])


def _kinds(detection: Detection | None) -> Any:
    if detection is None:
        return "recorded"
    with plugin(detection.origin, "identity"):
        return {
            "detector": detection.origin.name,
            **orjson.loads(orjson.dumps(dict(detection.detector.identity()))),
        }


def _hash(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value)).hexdigest()[:16]


def _pieces(row: Row, phase: Phase) -> list[Piece]:
    """The spans of a phase, by their place in its text."""
    spans = [span for span in row.spans if span["phase"] == phase]
    base = spans[0]["start"]
    return [Piece(span["start"] - base, span["end"] - base, span["author"], span["kind"]) for span in spans]


def _check(origin: Origin, scores: Scores, row: Row) -> None:
    offsets = scores.offsets
    if len(offsets) != len(scores.logprobs) or not offsets or list(offsets) != sorted(offsets):
        raise PluginError(f"{origin} failed in score: its offsets are not those of as many tokens")
    if not all(isfinite(one.logprob) for one in scores.logprobs):
        raise DataError(f"{row.where}: row {row.id!r}: has a token that the student holds for impossible")
