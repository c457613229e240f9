"""Detector ``hf-boundary``: token classifiers of the transformers library, in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tessy import Label, StyleDetector, Window
from tessy.errors import ConfigError
from tessy.types import Json
from tessy_hf_boundary.options import HfBoundaryOptions
from tessy_hf_boundary.source import Source, locate
from tessy_hf_boundary.worker import Worker

__all__ = ["HfBoundaryDetector"]


class HfBoundaryDetector(StyleDetector):
    """Any ``AutoModelForTokenClassification`` checkpoint, first of all the paper's boundary predictors.

    A word's label is that of its first token. With ``shift=1`` it stands at the token before, so a word's
    label is known before the word is: no lookahead. Where the model is causal, each text is read once:
    keys and values are kept from the anchor on, in bounded memory, and go back when a draft is dropped.

    ``lookahead`` is final once `start` has returned; a bidirectional model raises it.

    Raises:
        ConfigError: no model is named for somebody who writes.
    """

    Options = HfBoundaryOptions
    options: HfBoundaryOptions
    by_words = True

    def __init__(self, options: HfBoundaryOptions, *, model: str | None = None) -> None:
        super().__init__(options, model=model)
        own = {"student": options.student, "teacher": options.teacher}
        self._named: dict[str | None, str] = {a: m for a, m in own.items() if m is not None}
        if model is not None:
            self._named[None] = model
        elif len(self._named) < len(own):
            raise ConfigError(
                "detector hf-boundary: needs a model, a folder or a hub id: 'hf-boundary:MODEL' for all, or "
                "'hf-boundary?student=MODEL&teacher=MODEL'"
            )
        self._executor: ThreadPoolExecutor | None = None
        self._worker: Worker | None = None

    async def start(self) -> None:
        """Load the models in the detector's thread.

        Raises:
            ConfigError: a model cannot be found or used, or an option does not go with it.
        """
        self._executor = ThreadPoolExecutor(1, "hf-boundary")
        loop = asyncio.get_running_loop()
        self._worker = await loop.run_in_executor(self._executor, Worker, self._named, self.options)
        self.lookahead = self._worker.lookahead

    async def close(self) -> None:
        """Wait for the forward pass under way, end the thread, and let go of models and caches."""
        executor, self._executor, self._worker = self._executor, None, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        """Label a batch in the detector's thread; a cancelled call stops after its forward pass."""
        if self._executor is None or self._worker is None:
            raise RuntimeError("the detector is not started")
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, self._worker.label, tuple(windows), stop.is_set)
        except asyncio.CancelledError:
            stop.set()
            raise

    def forget(self, key: str) -> None:
        """Drop the trajectory's keys and values, once the thread comes to it."""
        if self._executor is not None and self._worker is not None:
            self._executor.submit(self._worker.forget, key)

    def identity(self) -> Mapping[str, Json]:
        """A hash of each model's files, revisions of hub models, and the options that labels depend on.

        ``device``, ``batch`` and ``cache`` may change between two runs, and so may the place of a folder.
        """
        chosen = self.options.model_dump(
            mode="json", include={"shift", "style_label", "threshold", "window", "lookahead", "dtype"}
        )
        if self._worker is None:
            models = {
                author or "all": _facts(locate(name, self.options.revision))
                for author, name in self._named.items()
            }
            return {"models": models, **chosen}
        models = {author or "all": _facts(model.source) for author, model in self._worker.models.items()}
        return {"models": models, **chosen, "dtype": next(iter(self._worker.models.values())).dtype}


def _facts(source: Source) -> dict[str, Json]:
    hub = {} if source.revision is None else {"model": source.name, "revision": source.revision}
    return {**hub, "weights": source.weights}
