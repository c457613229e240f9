"""Backend ``llamacpp``: a GGUF model in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import llama_cpp as lib

from tessy.abc import Backend, Capabilities, Session
from tessy.errors import BackendError, ConfigError
from tessy.formats import ChatFormat, detect, load_template
from tessy.types import Json, Prompt
from tessy_llamacpp.engine import Engine, Steps
from tessy_llamacpp.loaded import Loaded
from tessy_llamacpp.memory import check_memory
from tessy_llamacpp.model import Model, check_file, revision
from tessy_llamacpp.native import log_tap
from tessy_llamacpp.options import LlamaCppOptions, Sampling
from tessy_llamacpp.session import LlamaCppSession

__all__ = ["LlamaCppBackend"]

_MOST_CONTEXT = 8192
_SMALL = 50_000_000
"""Weights below which a second thread costs more than it brings, and passes over them are cheap."""
_CELLS = 1 << 16
"""Cells of a KV cache up to which looking over all of them costs less than a pass over the weights."""


class LlamaCppBackend(Backend):
    """One GGUF model, one engine thread, ``parallel`` trajectories whose KV cache is kept."""

    Options = LlamaCppOptions
    options: LlamaCppOptions

    def __init__(self, model: str, options: LlamaCppOptions, *, url: str | None = None) -> None:
        if url is not None:
            raise ConfigError(
                f"llamacpp:{model}@{url}: the llama.cpp server is not supported yet; "
                "llamacpp:PATH runs the model in this process"
            )
        super().__init__(model, options, url=url)
        self._loaded: Loaded | None = None
        self._revision = ""

    @property
    def loaded(self) -> Loaded:
        """The model; an error before `start`."""
        if self._loaded is None:
            raise BackendError(f"llamacpp:{self.model}: is not started")
        return self._loaded

    @property
    def in_process(self) -> bool:
        return True

    @property
    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return Capabilities(
            continuation=True,
            top_logprobs=100,
            ranks=True,
            scoring=True,
            seeds=True,
            vocabulary=self._loaded.model.vocabulary if self._loaded else None,
            max_active=self.options.parallel,
            context=self._loaded.n_ctx if self._loaded else self.options.n_ctx,
            kv_tokens=self._loaded.n_ctx * self.options.parallel if self._loaded else None,
        )

    async def start(self) -> None:
        """See `Backend.start`."""
        path = check_file(self.model)
        self._loaded = await asyncio.to_thread(self._load, path)
        self._loaded.engine.start()

    async def close(self) -> None:
        """See `Backend.close`."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await asyncio.to_thread(loaded.engine.close)
            lib.llama_free(loaded.context)
            loaded.model.close()

    def session(self, prompt: Prompt, key: str) -> Session:
        """See `Backend.session`."""
        return LlamaCppSession(self.loaded, prompt)

    def count_tokens(self, text: str) -> int:
        """See `Backend.count_tokens`."""
        return len(self.loaded.model.encode(text))

    def identity(self) -> Mapping[str, Json]:
        """See `Backend.identity`."""
        loaded = self.loaded
        return {
            "model": Path(self.model).name,
            "revision": self._revision,
            "template": loaded.format.template.fingerprint,
            "sampling": loaded.sampling.model_dump(),
        }

    async def active(self) -> int | None:
        """See `Backend.active`."""
        return self.loaded.engine.active

    def row_format(self) -> tuple[str, str]:
        """See `Backend.row_format`."""
        return self.loaded.format.row

    @property
    def steps(self) -> Steps:
        """What the engine has done so far."""
        return self.loaded.engine.steps

    # --- loading --------------------------------------------------------------------------------

    def _load(self, path: Path) -> Loaded:
        self._revision = revision(path)
        model = Model(path, self.options.gpu_layers)
        try:
            format = self._format(model)
            n_ctx = self.options.n_ctx or min(model.train_context or _MOST_CONTEXT, _MOST_CONTEXT)
            context = self._context(model, n_ctx)
        except BaseException:
            model.close()
            raise
        engine = Engine(
            context,
            model.n_vocab,
            sequences=self.options.parallel,
            n_ctx=n_ctx,
            batch=self.options.batch,
            ahead=self.options.ahead,
            piece=model.piece,
        )
        return Loaded(model, format, _sampling(model, self.options), engine, context, n_ctx)

    def _format(self, model: Model) -> ChatFormat:
        source = load_template(self.options.template) if self.options.template else model.template
        if source is None:
            raise ConfigError(f"{self.model}: has no chat template; give one with template=")
        return detect(
            source,
            bos_token=model.bos_text,
            eos_token=model.eos_text,
            controls=model.controls,
            name=self.options.template or f"of {Path(self.model).name}",
        )

    def _context(self, model: Model, n_ctx: int) -> lib.llama_context_p:
        options = self.options
        check_memory(self.model, model.handle, n_ctx, options.parallel)
        tap = log_tap()
        tap.clear()
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx * options.parallel
        params.n_seq_max = options.parallel
        params.n_batch = params.n_ubatch = max(options.batch, options.parallel)
        params.kv_unified = one_pool(model.parameters, n_ctx * options.parallel, options)
        params.n_threads = params.n_threads_batch = options.threads or _threads(model)
        params.no_perf = True
        context = lib.llama_init_from_model(model.handle, params)
        if not context:
            raise BackendError(
                f"{self.model}: llama.cpp cannot make a context of {options.parallel} × {n_ctx} tokens "
                f"(lower n_ctx= or parallel=): {tap.errors()}"
            )
        made: lib.llama_context_p = context
        return made


def one_pool(parameters: int, cells: int, options: LlamaCppOptions) -> bool:
    """Whether all sequences share one KV pool.

    With pools of their own, sequences share a pass over the weights only if their numbers are neighbours and
    they have as many tokens; while half of the trajectories are with the other model, few are. With one pool
    a step is one pass, but attention looks over the cells of all. Measured on CPUs only.
    """
    if options.kv_unified is not None:
        return options.kv_unified
    return parameters >= _SMALL and cells <= _CELLS and not lib.llama_supports_gpu_offload()


def _threads(model: Model) -> int:
    return 1 if model.parameters < _SMALL else os.cpu_count() or 1


def _sampling(model: Model, options: LlamaCppOptions) -> Sampling:
    """The options given, else what the file recommends, else the defaults."""
    values: dict[str, object] = {}
    recommended = {
        "temperature": "temp",
        "top_k": "top_k",
        "top_p": "top_p",
        "min_p": "min_p",
        "penalty_last_n": "penalty_last_n",
        "repeat_penalty": "penalty_repeat",
    }
    for name in Sampling.model_fields:
        given = getattr(options, name)
        if given is None and name in recommended:
            given = model.meta(f"general.sampling.{recommended[name]}")
        if given is not None:
            values[name] = given
    return Sampling(**values)  # type: ignore[arg-type]  # pydantic checks and converts
