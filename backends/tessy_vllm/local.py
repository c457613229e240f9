"""vLLM in this process: its asynchronous engine (V1 `AsyncLLM`), whose core runs in a process of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import cache
from importlib.util import find_spec
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tessy.errors import BackendDown, BackendError, BackendRejected, BackendUnavailable, ConfigError
from tessy.tokens.files import load_model_files
from tessy.types import TokenLogprob
from tessy_vllm.arguments import engine_arguments
from tessy_vllm.engine import Engine, EngineInfo, Job, Step
from tessy_vllm.options import VllmOptions

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.engine.async_llm import AsyncLLM

__all__ = ["LocalEngine"]

_SHUTDOWN = 20.0
"""Seconds that the engine process gets to end by itself."""
_FINISH = {"stop": "stop", "length": "length", "abort": "aborted", "repetition": "length"}


class LocalEngine(Engine):
    """A vLLM engine that lives and dies with this process."""

    def __init__(self, model: str, options: VllmOptions) -> None:
        self._model = model
        self._options = options
        self._llm: AsyncLLM | None = None
        self._sampling: dict[str, Any] = {}
        self._numbers = count()

    async def start(self) -> EngineInfo:
        """See `Engine.start`."""
        options = self._options
        # Before anything is looked for on the hub.
        if find_spec("vllm") is None:
            raise _not_installed("it is not installed")
        files = await asyncio.to_thread(
            load_model_files, options.tokenizer or self._model, revision=options.revision
        )
        self._codec = files.codec
        await asyncio.to_thread(self._build)
        assert self._llm is not None
        config = self._llm.vllm_config
        # Asked once: vLLM reads the model's file, or asks the hub for it, each time.
        self._sampling = _recommended(config.model_config.get_diff_sampling_param())
        return EngineInfo(
            files=files,
            context=config.model_config.max_model_len,
            max_active=config.scheduler_config.max_num_seqs,
            sampling=self._sampling,
            kv_tokens=_kv_tokens(config.cache_config),
        )

    def _build(self) -> None:
        # vLLM's log would tear the progress display; whoever wants it sets the variable.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        try:
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise _not_installed(str(error)) from error
        arguments = engine_arguments(self._model, self._options)
        try:
            self._llm = AsyncLLM.from_engine_args(arguments)
        except Exception as error:
            raise _start_error(self._model, error) from error

    async def generate(self, job: Job) -> AsyncGenerator[Step, None]:
        """See `Engine.generate`."""
        llm, vllm = self._started(), _parts()
        # As vLLM's renderer would hand it over: a raw prompt goes through a thread first, for nothing.
        prompt = vllm.tokens_input(list(job.prompt))
        params = self._parameters(job)
        job.asked(True)
        try:
            # Closing vLLM's generator aborts the request; leaving that to its finaliser would abort late.
            async with aclosing(llm.generate(prompt, params, f"{job.key}/{next(self._numbers)}")) as outputs:
                async for output in outputs:
                    if output.outputs:
                        yield self._step(output, job.top)
        except vllm.EngineDeadError as error:
            raise BackendDown(
                f"vllm:{self._model}: the engine's process has died ({_first_line(error)}); its log says why "
                "(VLLM_LOGGING_LEVEL=INFO)"
            ) from error
        except vllm.EngineGenerateError as error:
            raise BackendUnavailable(f"vllm:{self._model}: {_first_line(error)}") from error
        except (ValueError, TypeError) as error:
            raise BackendRejected(f"vllm:{self._model}: {_first_line(error)}") from error

    async def score(self, prompt: Sequence[int], start: int, top: int, key: str) -> list[TokenLogprob]:
        """See `Engine.score`."""
        llm, vllm = self._started(), _parts()
        params = vllm.SamplingParams(max_tokens=1, prompt_logprobs=max(1, top), detokenize=False)
        try:
            found: Sequence[Mapping[int, Any] | None] = ()
            requests = llm.generate(vllm.tokens_input(list(prompt)), params, f"{key}/{next(self._numbers)}")
            async with aclosing(requests) as outputs:
                async for output in outputs:
                    found = output.prompt_logprobs or found
        except vllm.EngineDeadError as error:
            raise BackendDown(f"vllm:{self._model}: the engine's process has died: {error}") from error
        except (ValueError, TypeError) as error:
            raise BackendRejected(f"vllm:{self._model}: {_first_line(error)}") from error
        return [
            self._logprob(token, entry or {}, top)
            for token, entry in zip(prompt[start:], found[start:], strict=True)
        ]

    async def active(self) -> int | None:
        """See `Engine.active`."""
        return int(self._started().get_num_unfinished_requests())

    async def close(self) -> None:
        """See `Engine.close`."""
        llm, self._llm = self._llm, None
        if llm is not None:
            # Whoever still reads the engine's outputs would log its end as a failure.
            if (handler := getattr(llm, "output_handler", None)) is not None:
                handler.cancel()
                await asyncio.wait((handler,))
            await asyncio.to_thread(llm.shutdown, timeout=_SHUTDOWN)

    def _step(self, output: Any, top: int) -> Step:
        """One of vLLM's outputs; it merges several steps when the reader is behind."""
        completion = output.outputs[0]
        tokens = list(completion.token_ids)
        logprobs = None
        if top:
            entries = completion.logprobs or ()
            logprobs = [self._logprob(t, entry, top) for t, entry in zip(tokens, entries, strict=True)]
        reason = completion.finish_reason
        finish: Any = None if reason is None else _FINISH.get(reason, "aborted")
        return Step(tokens, logprobs, output.num_cached_tokens, finish)

    def _logprob(self, token: int, entry: Mapping[int, Any], top: int) -> TokenLogprob:
        own = entry.get(token)
        best = sorted(entry.items(), key=lambda item: item[1].rank or 0)[:top]
        return TokenLogprob(
            logprob=own.logprob if own is not None else float("-inf"),
            rank=own.rank if own is not None else None,
            top=tuple((self._codec.token_text(i), one.logprob) for i, one in best),
        )

    def _started(self) -> AsyncLLM:
        if self._llm is None:
            raise BackendError(f"vllm:{self._model}: is not started")
        return self._llm

    def _parameters(self, job: Job) -> SamplingParams:
        vllm = _parts()
        try:
            return vllm.SamplingParams(
                **{**self._sampling, **job.sampling},
                max_tokens=job.max_tokens,
                stop_token_ids=sorted(job.stops),
                seed=job.seed,
                logprobs=job.top or None,
                output_kind=vllm.RequestOutputKind.DELTA,
                # We have the vocabulary: text is made from the tokens here, incomplete characters held back.
                detokenize=False,
                # They are this request's alone: vLLM need not copy them in depth.
                skip_clone=True,
            )
        except (ValueError, TypeError) as error:
            raise ConfigError(f"vllm:{self._model}: sampling: {_first_line(error)}") from error


@cache
def _parts() -> Any:
    """What is used of vLLM for each request. Imported there each time, it took 2 % of our time (sampled)."""
    from vllm import SamplingParams
    from vllm.inputs import tokens_input
    from vllm.sampling_params import RequestOutputKind
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

    return SimpleNamespace(
        SamplingParams=SamplingParams,
        RequestOutputKind=RequestOutputKind,
        EngineDeadError=EngineDeadError,
        EngineGenerateError=EngineGenerateError,
        tokens_input=tokens_input,
    )


def _recommended(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the model's ``generation_config.json`` says of sampling; lengths are not its business here."""
    return {name: value for name, value in values.items() if name not in ("max_tokens", "max_new_tokens")}


def _not_installed(why: str) -> ConfigError:
    return ConfigError(
        f"backend vllm: vLLM cannot be imported ({why}): pip install 'tessy-llm[vllm]', or name a server: "
        "vllm:MODEL@URL"
    )


def _start_error(model: str, error: Exception) -> Exception:
    """The many ways in which vLLM does not start, as one line that says what to do."""
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, TypeError, OSError)) and "memory" not in text.lower():
        return ConfigError(f"vllm:{model}: vLLM refuses to start: {text[:500]}")
    return BackendError(
        f"vllm:{model}: vLLM does not start: {text[:500]} (VLLM_LOGGING_LEVEL=INFO shows its log; two models "
        "on one GPU share it: gpu_memory_utilization=0.45 for each)"
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _kv_tokens(cache: Any) -> int | None:
    blocks, size = getattr(cache, "num_gpu_blocks", None), getattr(cache, "block_size", None)
    return int(blocks) * int(size) if blocks and size else None
