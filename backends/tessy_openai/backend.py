"""Backend ``openai``: a model behind any OpenAI-compatible service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from tessy.abc import Backend, Capabilities, Session
from tessy.errors import BackendError, BackendRejected, ConfigError
from tessy.formats import ChatFormat
from tessy.remote import Pool
from tessy.remote.starting import from_each, insist
from tessy.tokens.hf import HfCodec
from tessy.types import Json, Prompt
from tessy_openai.choose import Choice, choose, probe_cost
from tessy_openai.client import Clients
from tessy_openai.fields import sampling
from tessy_openai.listing import Listed, find
from tessy_openai.options import Mode, OpenAIOptions
from tessy_openai.services import DEFAULT_URL, UNKNOWN, Service, known_service, named_service
from tessy_openai.session import OpenAISession
from tessy_openai.trial import Trial

__all__ = ["OpenAIBackend", "Running"]

_RUNNING = re.compile(
    r"^(?:vllm:num_requests_(?:running|waiting)|sglang:num_(?:running|queue)_reqs"
    r"|llamacpp:requests_(?:processing|deferred))(?:\{[^}]*\})? ([0-9.eE+]+)$",
    re.M,
)
"""What vLLM, SGLang and llama-server call the requests they work on and have in their queues."""


@dataclass
class Running:
    """What a started backend holds, and its sessions use."""

    what: str
    model: str
    clients: Clients
    pool: Pool
    service: Service
    mode: Mode
    why: str
    codec: HfCodec | None
    format: ChatFormat | None
    sampling: Mapping[str, Any]
    extra: Mapping[str, Any]
    effort: str | None
    context: int | None
    max_tokens: int | None
    separates: bool | None
    capped: bool = False
    ahead: bool = False
    controls: frozenset[str] = field(default_factory=frozenset)


class OpenAIBackend(Backend):
    """One model of a service; several URLs, separated by commas, are replicas."""

    Options = OpenAIOptions
    options: OpenAIOptions

    def __init__(self, model: str, options: OpenAIOptions, *, url: str | None = None) -> None:
        if not model:
            raise ConfigError("backend openai: needs a model: openai:MODEL or openai:MODEL@URL")
        super().__init__(model, options, url=url)
        self._what = f"openai:{model}"
        self._urls = [one.strip().rstrip("/") for one in (url or DEFAULT_URL).split(",")]
        hosted = named_service(options.service) if options.service else known_service(self._urls[0])
        self._hosted = hosted
        self._clients = Clients(self._urls, options, hosted.key_env if hosted else None, what=self._what)
        self._pool = Pool(self._urls, options, name=self._what)
        self._running: Running | None = None

    @property
    def running(self) -> Running:
        """What is there once it is started; an error before."""
        if self._running is None:
            raise BackendError(f"{self._what}: is not started")
        return self._running

    @property
    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        running = self._running
        options = self.options
        top = 0
        if running is not None and running.mode == "token-ids":
            known = running.service.top_logprobs
            top = known if options.top_logprobs is None else options.top_logprobs
        return Capabilities(
            continuation=running is None or running.mode != "none",
            top_logprobs=top,
            vocabulary=running.codec.vocabulary if running and running.codec else None,
            max_active=min(options.max_concurrency, 256) * len(self._urls),
            context=running.context if running else options.context,
            capped=running is not None and running.capped,
            ahead=running is not None and running.ahead,
            kv_tokens=options.kv_budget(None),
            stall_seconds=None,  # requests wait here for their turn as long as they must
        )

    def start_cost(self) -> int:
        """See `Backend.start_cost`: probes of ``continuation=auto``, one of a model that is not listed."""
        return probe_cost(self.options, self._hosted or UNKNOWN)

    async def start(self) -> None:
        """See `Backend.start`."""
        self._clients.open()
        url, found = await self._find()
        trial = Trial(self._what, self.model, self.options, self._clients, url, found.service)
        chosen = await choose(trial, str(found.entry.get("root") or ""), found.doubt)
        self._running = self._made(found.service, chosen, found.entry)

    async def close(self) -> None:
        """See `Backend.close`."""
        self._running = None
        await self._clients.close()

    def session(self, prompt: Prompt, key: str) -> Session:
        """See `Backend.session`."""
        return OpenAISession(self.running, prompt, key)

    def count_tokens(self, text: str) -> int | None:
        """See `Backend.count_tokens`."""
        codec = self.running.codec
        return None if codec is None else len(codec.encode(text))

    async def active(self) -> int | None:
        """See `Backend.active`: the gauges of a server of one's own, where it publishes some."""
        if self._hosted is not None:
            return None
        total = 0
        for url in self._urls:
            try:
                page = await self._clients.get_text(f"{url.removesuffix('/v1')}/metrics")
            except BackendError:
                return None
            found = _RUNNING.findall(page)
            if not found:
                return None
            total += int(sum(map(float, found)))
        return total

    def facts(self) -> Mapping[str, Json]:
        """See `Backend.facts`."""
        running = self.running
        return {
            "service": running.service.name,
            "continuation": running.mode,
            "because": running.why,
            "rate limits": dict(self._clients.rate_limits),
            "servers": {url: asdict(stats) for url, stats in self._pool.stats.items()},
        }

    def identity(self) -> Mapping[str, Json]:
        """See `Backend.identity`."""
        running = self.running
        return {
            "model": self.model,
            "continuation": running.mode,
            "vocabulary": running.codec.vocabulary if running.codec else None,
            "template": running.format.template.fingerprint if running.format else None,
            "sampling": dict(running.sampling),
            "reasoning_effort": running.effort,
            "extra": dict(running.extra),
        }

    def row_format(self) -> tuple[str, str]:
        """See `Backend.row_format`."""
        format = self.running.format
        return super().row_format() if format is None else format.row

    # --- starting -------------------------------------------------------------------------------

    async def _find(self) -> tuple[str, Listed]:
        """A URL that answers, and what it says of the model."""
        found = await from_each(self._urls, self._listed)
        return next(iter(found.items()))

    async def _listed(self, url: str) -> Listed:
        try:
            models = await insist(partial(self._clients.models, url), what=self._what)
        except BackendRejected as error:
            raise ConfigError(str(error)) from error
        found = find(self.model, models, self._hosted)
        if found.doubt and found.service.lists_all and models is not None:
            raise ConfigError(f"{self._what}: {url} {found.doubt}")
        return found

    def _made(self, service: Service, chosen: Choice, entry: Mapping[str, Any]) -> Running:
        options = self.options
        files, format = chosen.files, chosen.format
        context = options.context or _context(entry)
        return Running(
            what=self._what,
            model=self.model,
            clients=self._clients,
            pool=self._pool,
            service=service,
            mode=chosen.mode,
            why=chosen.why,
            codec=files.codec if files else None,
            format=format,
            sampling=sampling(options),
            extra=options.extra,
            effort=options.reasoning_effort,
            context=context,
            max_tokens=options.max_tokens,
            separates=service.separates,
            capped=_capped(options, service, chosen),
            ahead=_ahead(options, service, chosen),
            controls=files.codec.controls if files else frozenset(),
        )


def _capped(options: OpenAIOptions, service: Service, chosen: Choice) -> bool:
    """Whether requests get limits of the core's own: it must go on exactly where it stopped."""
    if chosen.mode in ("none", "instruct"):
        if options.limit == "adaptive":
            raise ConfigError(
                f"limit=adaptive: continuation={chosen.mode} cannot go on in the middle of a turn "
                f"({chosen.why}); leave limit= out"
            )
        return False
    return options.limit == "adaptive" or (options.limit == "auto" and not service.stops)


def _ahead(options: OpenAIOptions, service: Service, chosen: Choice) -> bool:
    """Whether it may be asked before a turn has settled: it must go on exactly where that ends."""
    if chosen.mode in ("none", "instruct"):
        if options.ask_ahead == "on":
            raise ConfigError(
                f"ask_ahead=on: continuation={chosen.mode} cannot go on in the middle of a text "
                f"({chosen.why}); leave ask_ahead= out"
            )
        return False
    if options.ask_ahead == "on" and _capped(options, service, chosen):
        raise ConfigError("ask_ahead=on asks without a limit: say limit=none too, or leave ask_ahead= out")
    return options.asked_ahead(service.stops)


def _context(entry: Mapping[str, Any]) -> int | None:
    """How long a sequence may be, by whichever name the service has for it."""
    meta = entry.get("meta")
    places = [entry, meta] if isinstance(meta, Mapping) else [entry]
    for place in places:
        for name in ("max_model_len", "context_length", "context_window", "n_ctx", "n_ctx_train"):
            if isinstance(place.get(name), int):
                return int(place[name])
    return None
