"""The engine: one thread a model, one batch a step, all trajectories in it.

A step takes one token of every trajectory that is writing, fills the batch with pieces of contexts that
are still to be read, decodes, and draws the next tokens. Nothing here knows text.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

import llama_cpp as lib

from tessy.errors import BackendDown, BackendError, BackendRejected, BackendUnavailable
from tessy.types import Finish
from tessy_llamacpp.batch import Batch, Part
from tessy_llamacpp.generation import Generation
from tessy_llamacpp.logits import alternatives, rate
from tessy_llamacpp.slots import Slots

__all__ = ["Engine", "Steps"]

log = logging.getLogger(__name__)


@dataclass
class Steps:
    """What the engine has done: decode calls, tokens in them, tokens drawn."""

    calls: int = 0
    tokens: int = 0
    drawn: int = 0


class Engine:
    """Decodes for many trajectories at once. `submit`, `abort` and `release` are for the event loop.

    Args:
        context: llama.cpp's context; the engine's thread alone uses it.
        n_vocab: size of the vocabulary.
        sequences: how many sequences the context has.
        n_ctx: tokens of context a sequence.
        batch: tokens a step.
        ahead: tokens a trajectory may be ahead of its reader.
        piece: a token's bytes, for alternatives.
    """

    def __init__(
        self,
        context: lib.llama_context_p,
        n_vocab: int,
        *,
        sequences: int,
        n_ctx: int,
        batch: int,
        ahead: int,
        piece: Callable[[int], bytes],
    ) -> None:
        self._context = context
        self._n_vocab = n_vocab
        self._n_ctx = n_ctx
        self._ahead = ahead
        self._piece = piece
        self._slots = Slots(context, sequences)
        self._batch = Batch(max(batch, sequences))
        self._waiting: deque[Generation] = deque()
        self._running: list[Generation] = []
        self._inbox: list[Generation] = []
        self._released: list[object] = []
        self._wake = threading.Condition()
        self._poked = False
        self._closing = False
        self._failure: str | None = None
        self.steps = Steps()
        self._thread = threading.Thread(target=self._run, name="tessy-llamacpp", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread; generations under way end as unavailable. Idempotent."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def active(self) -> int:
        """Generations that are decoded or wait for it; from any thread."""
        return len(self._inbox) + len(self._waiting) + len(self._running)

    def submit(self, generation: Generation) -> None:
        """Begin a generation.

        Raises:
            BackendDown: the thread has failed.
            BackendUnavailable: the engine is closed.
        """
        with self._wake:
            if self._failure is not None:
                raise BackendDown(self._failure)
            if self._closing:
                raise BackendUnavailable("the llama.cpp engine is closed")
            self._inbox.append(generation)
            self._wake.notify()

    def poke(self) -> None:
        """Something has changed that a waiting engine should look at: tokens were read, one was aborted."""
        with self._wake:
            self._poked = True
            self._wake.notify()

    def took(self, count: int) -> None:
        """A reader took so many tokens; if that is as many as it may lag behind, the engine waits for it."""
        if count >= self._ahead:
            self.poke()

    def release(self, owner: object) -> None:
        """The owner will not come back; what it still generates ends."""
        with self._wake:
            self._released.append(owner)
            self._wake.notify()

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._collect():
                self._admit()
                step = self._compose()
                if step:
                    self._decode(step)
        except Exception as error:  # nobody may wait for a thread that is gone
            log.exception("the llama.cpp engine")
            with self._wake:
                self._failure = f"the llama.cpp engine has failed: {type(error).__name__}: {error}"
        self._end_all()

    def _collect(self) -> bool:
        """Take what the loop has sent; wait if there is nothing to do. False: close."""
        with self._wake:
            while not (self._closing or self._inbox or self._released or self._poked or self._has_work()):
                self._wake.wait()
            self._poked = False
            self._waiting += self._inbox
            released = self._released
            self._inbox, self._released = [], []
            closing = self._closing
        for generation in [g for g in (*self._running, *self._waiting) if g.aborted]:
            self._end(generation, finish="aborted")
        for generation in [g for g in (*self._running, *self._waiting) if g.owner in released]:
            self._end(generation, error=BackendError("the session was closed"))
        for owner in released:
            self._slots.release(owner)
        return not closing

    def _has_work(self) -> bool:
        if any(g.aborted or self._may_go_on(g) for g in self._running) or any(
            g.aborted for g in self._waiting
        ):
            return True
        return bool(self._waiting) and self._slots.any_idle

    def _may_go_on(self, generation: Generation) -> bool:
        """Whether its reader keeps up: nothing is generated far ahead of what may be cut off."""
        return generation.last is None or len(generation.fresh) < self._ahead

    def _admit(self) -> None:
        """Give waiting generations a sequence, first come first served."""
        while self._waiting:
            generation = self._waiting[0]
            if len(generation.context) >= self._n_ctx:
                self._waiting.popleft()
                self._end(
                    generation,
                    error=BackendRejected(
                        f"{len(generation.context)} tokens do not fit into a context of {self._n_ctx}; "
                        "raise n_ctx="
                    ),
                )
                continue
            slot = self._slots.take(generation.owner)
            if slot is None:
                return
            self._waiting.popleft()
            generation.slot = slot
            self._running.append(generation)
            # A rating needs the logits before its first token, so that one is decoded again.
            whole = generation.context[: len(generation.context) - generation.score]
            generation.at = generation.cached = self._slots.keep(
                slot, whole if generation.score else generation.context
            )

    def _compose(self) -> list[tuple[Generation, int, int]]:
        """Fill the batch: ``(generation, index, tokens)`` of each part of it."""
        batch = self._batch
        batch.clear()
        ahead = self._ahead
        chosen: list[tuple[int, Part, Generation]] = []
        room = batch.size
        for generation in self._running:
            last, slot = generation.last, generation.slot
            if last is not None and slot is not None and len(generation.fresh) < ahead:
                part = Part((last,), len(slot.tokens), slot.sequence, 1)
                chosen.append((slot.sequence, part, generation))
                room -= 1
        for generation in self._running:
            if generation.last is None and room:
                assert generation.slot is not None
                tokens = generation.context[generation.at : generation.at + room]
                room -= len(tokens)
                end = generation.at + len(tokens)
                first = len(generation.context) - 1 - generation.score
                wanted = max(0, end - max(first, generation.at))
                part = Part(tokens, generation.at, generation.slot.sequence, wanted)
                chosen.append((part.sequence, part, generation))
        # llama.cpp decodes neighbouring sequences together, in ascending order, where each has a cache of its
        # own; any other order is a pass over the weights more for every break in it.
        chosen.sort(key=itemgetter(0))
        firsts = batch.extend([part for _, part, _ in chosen])
        return [
            (generation, first, len(part.tokens))
            for first, (_, part, generation) in zip(firsts, chosen, strict=True)
        ]

    def _decode(self, step: list[tuple[Generation, int, int]]) -> None:
        status = self._batch.decode(self._context)
        while status == 1 and self._slots.evict_idle():
            status = self._batch.decode(self._context)
        if status != 0:
            self._fail(step, status)
            return
        self.steps.calls += 1
        self.steps.tokens += self._batch.count
        news: dict[asyncio.AbstractEventLoop, list[Generation]] = {}
        try:
            for generation, index, count in step:
                if self._advance(generation, index, count):
                    news.setdefault(generation.loop, []).append(generation)
        finally:
            for loop, generations in news.items():
                _tell(loop, generations)

    def _advance(self, generation: Generation, index: int, count: int) -> bool:
        """Take a part of a decoded batch into account; whether there is news for the reader."""
        assert generation.slot is not None
        if generation.last is None:
            generation.slot.tokens += generation.context[generation.at : generation.at + count]
            generation.at += count
            if generation.score:
                rate(generation, self._context, index, count, self._n_vocab, self._piece)
            if generation.at < len(generation.context):
                return False
            if generation.score:
                self._end(generation, finish="stop", tell=False)
                return True
        else:
            generation.slot.tokens.append(generation.last)
        self._draw(generation, index + count - 1)
        return True

    def _draw(self, generation: Generation, index: int) -> None:
        assert generation.sampler is not None
        assert generation.slot is not None
        token = generation.sampler.draw(self._context, index)
        if generation.top:
            generation.logprobs.append(
                alternatives(self._context, index, self._n_vocab, token, generation.top, self._piece)
            )
        generation.last = token
        generation.generated += 1
        self.steps.drawn += 1
        generation.fresh.append(token)
        if token in generation.stops:
            self._end(generation, finish="end_of_turn", tell=False)
        elif generation.generated >= generation.limit:
            self._end(generation, finish="length", tell=False)
        elif len(generation.slot.tokens) + 1 >= self._n_ctx:
            self._end(
                generation,
                error=BackendRejected(f"the context of {self._n_ctx} tokens is full; raise n_ctx="),
                tell=False,
            )

    def _fail(self, step: list[tuple[Generation, int, int]], status: int) -> None:
        for generation, _, _ in step:
            if generation.slot is not None:
                self._slots.cut(generation.slot, 0)
            self._end(generation, error=BackendError(f"llama_decode failed with status {status}"))

    def _end(
        self,
        generation: Generation,
        *,
        finish: Finish | None = None,
        error: Exception | None = None,
        tell: bool = True,
    ) -> None:
        if generation.slot is not None:
            generation.slot.busy = False
            generation.slot = None
            self._running.remove(generation)
        elif generation in self._waiting:
            self._waiting.remove(generation)
        if generation.sampler is not None:
            generation.sampler.close()
        generation.finish = finish
        generation.error = error
        generation.ended = True
        if tell:
            _tell(generation.loop, [generation])

    def _end_all(self) -> None:
        """The thread ends: nobody is to wait for it any longer."""
        for generation in [*self._running, *self._waiting, *self._inbox]:
            if self._failure is not None:
                self._end(generation, error=BackendDown(self._failure))
            else:
                self._end(generation, error=BackendUnavailable("the llama.cpp engine was closed"))


def _tell(loop: asyncio.AbstractEventLoop, generations: list[Generation]) -> None:
    """One call into the loop for all its readers."""

    def wake() -> None:
        for generation in generations:
            generation.wake()

    try:
        loop.call_soon_threadsafe(wake)
    except RuntimeError:
        # The loop is closed: its readers are gone, and so is the need to tell them.
        return
