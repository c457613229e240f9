"""Backend ``vllm``: a model in vLLM, in this process or behind its own server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.abc import Backend, Capabilities, Session
from tessy.errors import BackendError, ConfigError
from tessy.formats import ChatFormat
from tessy.tokens.hf import HfCodec
from tessy.types import Json, Prompt
from tessy_vllm.engine import Engine, EngineInfo
from tessy_vllm.options import SAMPLING, VllmOptions
from tessy_vllm.session import VllmSession

__all__ = ["Running", "VllmBackend"]


@dataclass(frozen=True)
class Running:
    """What a started backend holds, and its sessions use."""

    model: str
    engine: Engine
    info: EngineInfo
    format: ChatFormat
    sampling: Mapping[str, Any]

    @property
    def codec(self) -> HfCodec:
        """The model's vocabulary."""
        return self.info.files.codec


class VllmBackend(Backend):
    """One model in vLLM. With a URL: its server; several, separated by commas, are replicas."""

    Options = VllmOptions
    options: VllmOptions

    def __init__(self, model: str, options: VllmOptions, *, url: str | None = None) -> None:
        if not model:
            raise ConfigError(
                "backend vllm: needs a model: vllm:MODEL (a folder or hub id) or vllm:MODEL@URL"
            )
        if url is not None and options.engine:
            raise ConfigError(
                f"backend vllm: no such option for a server: {', '.join(options.engine)}; engine options are "
                "given to vLLM where it is started"
            )
        super().__init__(model, options, url=url)
        self._engine = _engine(model, options, url)
        self._running: Running | None = None

    @property
    def running(self) -> Running:
        """What is there once it is started; an error before."""
        if self._running is None:
            raise BackendError(f"vllm:{self.model}: is not started")
        return self._running

    @property
    def in_process(self) -> bool:
        return self.url is None

    @property
    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        info = self._running.info if self._running else None
        return Capabilities(
            continuation=True,
            top_logprobs=self.options.max_logprobs,
            ranks=self.url is None,
            scoring=True,
            seeds=True,
            vocabulary=info.files.codec.vocabulary if info else None,
            max_active=info.max_active if info else None,
            context=info.context if info else None,
            # An abort reaches vLLM within a token; behind a gateway it may not.
            capped=self.options.limit == "adaptive",
            # In process both models share the processor: asked ahead, one would wait for the other.
            ahead=self.options.asked_ahead(self.url is not None),
            kv_tokens=self.options.kv_budget(info.kv_tokens if info else None),
            # A request to servers may wait here for its turn as long as it must; see `tessy.remote.pool`.
            stall_seconds=Capabilities().stall_seconds if self.url is None else None,
        )

    async def start(self) -> None:
        """See `Backend.start`."""
        if self.options.ask_ahead == "on" and self.options.limit == "adaptive":
            raise ConfigError("vllm: ask_ahead=on asks without a limit: leave limit= or ask_ahead= out")
        info = await self._engine.start()
        format = info.files.format(self.options.template)
        given = {name: value for name in SAMPLING if (value := getattr(self.options, name)) is not None}
        self._running = Running(self.model, self._engine, info, format, given)

    async def close(self) -> None:
        """See `Backend.close`."""
        self._running = None
        await self._engine.close()

    def session(self, prompt: Prompt, key: str) -> Session:
        """See `Backend.session`."""
        return VllmSession(self.running, prompt, key)

    def count_tokens(self, text: str) -> int:
        """See `Backend.count_tokens`."""
        return len(self.running.codec.encode(text))

    async def active(self) -> int | None:
        """See `Backend.active`."""
        return await self._engine.active()

    def facts(self) -> Mapping[str, Json]:
        """See `Backend.facts`."""
        return {"continuation": "token ids", **self._engine.facts()}

    def identity(self) -> Mapping[str, Json]:
        """See `Backend.identity`."""
        running = self.running
        return {
            # A folder may be elsewhere tomorrow; what is in it counts.
            "model": Path(self.model).name if Path(self.model).is_dir() else self.model,
            "revision": self.options.revision,
            "vocabulary": running.codec.vocabulary,
            "template": running.format.template.fingerprint,
            "sampling": {**running.info.sampling, **running.sampling},
        }

    def row_format(self) -> tuple[str, str]:
        """See `Backend.row_format`."""
        return self.running.format.row


def _engine(model: str, options: VllmOptions, url: str | None) -> Engine:
    """Imported late: the one needs vLLM, the other an HTTP client, and never both."""
    if url is None:
        from tessy_vllm.local import LocalEngine

        return LocalEngine(model, options)
    from tessy_vllm.server import ServerEngine

    return ServerEngine(model, options, url.split(","))
