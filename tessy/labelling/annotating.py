"""Annotation: a model lists the style spans of each segment; what can be used is written down.

The output is appended to, a line a segment, so that a stopped annotation goes on where it was. What was
dropped stands in a file beside it, with the reason and the answer. At the end both are put in the order of
the segments: the files then do not depend on how many were asked at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from tessy.abc import Backend
from tessy.boundary import Origin, plugin, stream
from tessy.errors import (
    BackendDown,
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ContinuationUnsupported,
)
from tessy.labelling.answers import Unusable, read_answer
from tessy.labelling.instructions import make_prompt
from tessy.labelling.segments import Segment
from tessy.labelling.store import AnnotationStore
from tessy.seeds import derive
from tessy.types import Request, Turn, Usage

__all__ = ["Annotation", "Annotator", "annotate"]

_RETRIES = 3


@dataclass(slots=True)
class Annotation:
    """How far an annotation is: this process's and earlier ones' segments together.

    Attributes:
        total: those done, and those still to be asked about.
        kept: those with usable spans.
        dropped: the others, by reason.
        left_out: strings that did not stand in their text (only if that is allowed).
        usage: tokens of this process.
    """

    total: int
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    usage: Usage = field(default_factory=Usage)

    @property
    def done(self) -> int:
        """Segments that need not be asked about again."""
        return self.kept + self.dropped.total()

    @property
    def keep_rate(self) -> float:
        """The share that could be used, of those done."""
        return self.kept / self.done if self.done else 0.0


@dataclass(frozen=True)
class Annotator:
    """A model that annotates.

    Attributes:
        backend, origin: the model, started, and where it comes from.
        seed: the answers' seed.
        attempts: how often a segment is asked about until an answer can be used.
        lenient: leave out single strings that do not stand in the text.
        max_tokens: longest answer, in the model's tokens.
    """

    backend: Backend
    origin: Origin
    seed: int = 0
    attempts: int = 2
    lenient: bool = False
    max_tokens: int = 2048


async def annotate(
    annotator: Annotator,
    segments: Sequence[Segment],
    store: AnnotationStore,
    *,
    concurrency: int = 16,
    progress: Callable[[Annotation], None] = lambda state: None,
) -> Annotation:
    """Annotate what ``store``, whose segments they are, does not hold yet.

    ``progress`` is called after each segment.

    Raises:
        BackendDown: the model is out of service; all that is written stays.
        PluginError: the backend's code failed.
    """
    missing = [segment for segment in segments if segment.id not in store]
    state = Annotation(0, store.kept, Counter(store.reasons))
    state.total = state.done + len(missing)
    queue = iter(missing)

    async def place() -> None:
        for segment in queue:
            await _annotate(annotator, segment, store, state)
            progress(state)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(place())
    except BaseExceptionGroup as group_error:
        raise group_error.exceptions[0] from None
    store.arrange()
    return state


async def _annotate(
    annotator: Annotator, segment: Segment, store: AnnotationStore, state: Annotation
) -> None:
    reason, answer = "", ""
    for attempt in range(annotator.attempts):
        try:
            answer, cut_off = await _ask(annotator, segment, attempt, state)
            read = read_answer(segment.text, answer, cut_off=cut_off, lenient=annotator.lenient)
        except (BackendDown, ContinuationUnsupported):
            raise
        except BackendError as error:  # of this segment: asking again is useless
            reason, answer = error.reason, str(error)
            break
        except Unusable as error:
            reason = error.reason
            continue
        store.keep(replace(segment, spans=read.spans))
        state.kept += 1
        state.left_out += read.left_out
        return
    store.drop(segment.id, reason, answer)
    state.dropped[reason] += 1


async def _ask(annotator: Annotator, segment: Segment, attempt: int, state: Annotation) -> tuple[str, bool]:
    """The answer to one question, and whether it was cut off; asked again if the model was busy."""
    with plugin(annotator.origin, "session"):
        session = annotator.backend.session(make_prompt(segment.text), f"annotate/{segment.id}")
    seed = derive(annotator.seed, segment.id, attempt)
    request = Request(Turn("annotator", "answer", max_tokens=annotator.max_tokens), (), seed)
    try:
        for retry in range(_RETRIES + 1):
            try:
                text, tokens, finish = "", 0, None
                written = stream(annotator.origin, annotator.backend, session, request)
                async with aclosing(written) as chunks:
                    async for chunk in chunks:
                        text, tokens, finish = text + chunk.text, tokens + chunk.tokens, chunk.finish
                        if finish is not None:
                            break
                state.usage += session.usage() or Usage(generated=tokens, requests=1)
                return text, finish in ("length", None)
            except BackendDown:
                raise
            except (BackendUnavailable, BackendTimeout) as error:
                if retry == _RETRIES:
                    raise _down(annotator, error) from error
    finally:
        await session.close()
    raise AssertionError("unreachable")


def _down(annotator: Annotator, error: BackendError) -> BackendDown:
    return BackendDown(f"{error}\nwhat {annotator.origin} has annotated stays; the same command goes on")
