"""vLLM's own server, spoken to in token ids: ``/v1/completions`` with ``prompt: [ids]``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tessy.errors import BackendError, BackendUnavailable, ConfigError
from tessy.remote import Pool
from tessy.remote.grace import GRACE
from tessy.remote.starting import from_each, insist
from tessy.tokens.files import ModelFiles, load_model_files
from tessy.types import TokenLogprob
from tessy_vllm.check import check_template, check_vocabulary, served
from tessy_vllm.engine import Engine, EngineInfo, Job, Step
from tessy_vllm.http import Http
from tessy_vllm.metrics import read_kv_tokens, read_metrics
from tessy_vllm.options import VllmOptions
from tessy_vllm.wire import completion_body, read_scores, read_step

__all__ = ["ServerEngine"]

_POLL = 2.0
"""Seconds between two looks at a server's queue."""
_ACTIVE = 256
"""Trajectories for which one server is assumed to be good; it says nothing of it itself."""


class ServerEngine(Engine):
    """One model on one or several servers."""

    def __init__(self, model: str, options: VllmOptions, urls: Sequence[str]) -> None:
        self._model = model
        self._options = options
        self._urls = [_root(url) for url in urls]
        self._name = f"vllm:{model}"
        self._http = Http(
            options, what=self._name, streams=options.max_concurrency * len(urls), urls=self._urls
        )
        self.pool = Pool(self._urls, options, name=self._name)
        self._pollers: list[asyncio.Task[None]] = []

    async def start(self) -> EngineInfo:
        """See `Engine.start`."""
        await self._http.open()
        found = await from_each(self._urls, self._served)
        files = await asyncio.to_thread(self._files, [entry.get("root") for entry in found.values()])
        await from_each(list(found), partial(self._check, files))
        self._pollers = [asyncio.create_task(self._poll(url)) for url in self._urls]
        return EngineInfo(
            files=files,
            context=min(int(entry.get("max_model_len") or 1 << 30) for entry in found.values()),
            max_active=min(_ACTIVE, self._options.max_concurrency) * len(self._urls),
            sampling={},
            kv_tokens=await self._kv_tokens(list(found)),
        )

    async def _served(self, url: str) -> Mapping[str, Any]:
        return await insist(partial(served, self._http, url, self._model), what=self._name)

    async def _check(self, files: ModelFiles, url: str) -> None:
        """Whether a server's tokens, and its prompts, are the ones made here."""
        await insist(partial(check_vocabulary, self._http, url, self._model, files), what=self._name)
        if self._options.template is None:
            await insist(partial(check_template, self._http, url, self._model, files), what=self._name)

    async def _kv_tokens(self, urls: Sequence[str]) -> int | None:
        """What their KV caches hold; keys spread trajectories evenly, so the sum will do.

        A replica that does not say is taken to be like the smallest that does.
        """
        known: list[int] = []
        for url in urls:
            try:
                page = await insist(partial(self._http.get, f"{url}/metrics"), what=self._name)
            except BackendError:
                continue
            if (tokens := read_kv_tokens(page)) is not None:
                known.append(tokens)
        return (sum(known) + (len(urls) - len(known)) * min(known)) or None if known else None

    def _files(self, roots: Sequence[Any]) -> ModelFiles:
        """The tokenizer: the one named, else the one the server was started with, else the model's."""
        options = self._options
        if options.tokenizer:
            return load_model_files(options.tokenizer, revision=options.revision)
        sources = [str(root) for root in roots if root and Path(str(root)).is_dir()]
        sources += [self._model, *(str(root) for root in roots if root)]
        problem: ConfigError | None = None
        for source in dict.fromkeys(sources):
            try:
                return load_model_files(source, revision=options.revision)
            except ConfigError as error:
                problem = problem or error
        raise ConfigError(
            f"{self._name}: its tokenizer is needed here too, to speak with the server in token ids; "
            f"name its folder or hub id with tokenizer=: {problem}"
        )

    def generate(self, job: Job) -> AsyncGenerator[Step, None]:
        """See `Engine.generate`."""
        body = completion_body(self._model, job)

        def open(url: str) -> AsyncGenerator[Step, None]:
            return self._steps(url, body, job.top)

        return self.pool.stream(job.key, open, tokens=len(job.prompt), asked=job.asked)

    async def _steps(self, url: str, body: Mapping[str, Any], top: int) -> AsyncGenerator[Step, None]:
        finished = False
        async with aclosing(self._http.events(f"{url}/v1/completions", body)) as batches:
            async for events in batches:
                step = read_step(self._name, events, top)
                if step.finish is not None:
                    finished = True
                if step.tokens or step.finish is not None:
                    self.pool.spent(len(step.tokens))
                    yield step
                if finished:
                    # The usage follows in an event of its own; it is worth neither an error nor a long wait.
                    with suppress(StopAsyncIteration, TimeoutError):
                        async with asyncio.timeout(GRACE):
                            late = read_step(self._name, await anext(batches), 0)
                        if late.cached is not None:
                            yield Step(cached=late.cached, drained=True)
                    return
        raise BackendUnavailable(f"{self._name}: {url}: the stream broke off")

    async def score(self, prompt: Sequence[int], start: int, top: int, key: str) -> list[TokenLogprob]:
        """See `Engine.score`."""
        body = {
            "model": self._model,
            "prompt": list(prompt),
            "max_tokens": 1,
            "prompt_logprobs": max(1, top),
            "temperature": 0,
        }

        async def ask(url: str) -> Any:
            return await self._http.post(f"{url}/v1/completions", body)

        answer = await self.pool.call(key, ask, tokens=len(prompt))
        return read_scores(self._name, answer, prompt, start, top)

    async def active(self) -> int | None:
        """See `Engine.active`: the gauges of all servers that publish them."""
        total = 0
        for url in self._urls:
            try:
                figures = read_metrics(await self._http.get(f"{url}/metrics"))
                total += int(figures["num_requests_running"] + figures["num_requests_waiting"])
            except (BackendError, KeyError):
                return None
        return total

    def facts(self) -> Mapping[str, Any]:
        """See `Engine.facts`."""
        return {"servers": {url: asdict(stats) for url, stats in self.pool.stats.items()}}

    def forget(self, key: str) -> None:
        """See `Engine.forget`."""
        self.pool.forget(key)

    async def close(self) -> None:
        """See `Engine.close`."""
        pollers, self._pollers = self._pollers, []
        for task in pollers:
            task.cancel()
        await asyncio.gather(*pollers, return_exceptions=True)
        await self._http.close()

    async def _poll(self, url: str) -> None:
        """Tell the pool how busy a server is, as long as it publishes that."""
        while True:
            await asyncio.sleep(_POLL)
            try:
                figures = read_metrics(await self._http.get(f"{url}/metrics"))
            except BackendUnavailable:
                continue  # the streams will notice
            except BackendError:
                return
            self.pool.observe(
                url,
                running=int(figures.get("num_requests_running", 0)),
                waiting=int(figures.get("num_requests_waiting", 0)),
            )


def _root(url: str) -> str:
    """A server's root, whether or not its ``/v1`` was named."""
    return url.strip().rstrip("/").removesuffix("/v1")
