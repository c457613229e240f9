"""Services whose list of models is missing, or names other models than they take."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from openai_backend.asking import make
from openai_standin import Service, serving
from tessy.errors import ConfigError
from tessy_openai.backend import OpenAIBackend
from tessy_openai.options import OpenAIOptions
from tessy_openai.services import known_service


def answers(status: int, text: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type="application/json")

    return page


def lists(*names: str, owner: str = "someone") -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": [{"id": name, "owned_by": owner} for name in names]})

    return page


def standin(kind: str, page: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Service:
    service = Service(kind)
    service.models = page  # type: ignore[method-assign]
    return service


async def started(service: Service, **options: Any) -> OpenAIBackend:
    async with serving(service):
        backend = make(service, **options)
        try:
            await backend.start()
        finally:
            await backend.close()
        return backend


def test_together_has_two_names() -> None:
    for end in ("ai", "xyz"):
        service = known_service(f"https://api.together.{end}/v1")
        assert service is not None
        assert service.name == "Together"


async def test_a_list_that_stands_bare(caplog: pytest.LogCaptureFixture) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.json_response([{"id": "model", "object": "model", "context_length": 2048}])

    async with serving(standin("together", page)) as service:
        backend = make(service)
        await backend.start()
        assert backend.capabilities.context == 2048
        await backend.close()
    assert not caplog.text


NO_LIST = [
    answers(404, "404 page not found"),
    answers(405, '{"errors": [{"code": 10405, "message": "GET not supported"}]}'),
    lists("gpt-5-2025-08-07", "gpt-4o-2024-11-20"),
    lists("mode"),
    lists(),
]


@pytest.mark.parametrize("page", NO_LIST)
@pytest.mark.parametrize("kind", ["deepseek", "openai"])
@pytest.mark.parametrize("continuation", ["auto", "none"])
async def test_a_list_without_the_model_is_not_the_last_word(
    page: Callable[[web.Request], Any], kind: str, continuation: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = standin(kind, page)
    with caplog.at_level(logging.WARNING):
        backend = await started(service, continuation=continuation)
    assert "is used since it answers" in caplog.text
    assert len(service.requests) == 1
    assert service.requests[0].get("max_tokens") or service.requests[0]["max_completion_tokens"]
    assert len(str(service.requests[0])) < backend.start_cost() * 2


@pytest.mark.parametrize("page", NO_LIST)
@pytest.mark.parametrize("continuation", ["auto", "none", "prefix", "text"])
async def test_but_the_services_own_refusal_is(page: Callable[[web.Request], Any], continuation: str) -> None:
    kind = "together" if continuation == "text" else "deepseek"
    async with serving(standin(kind, page)) as service:
        tokenizer = make(service).options.tokenizer
        options = OpenAIOptions(
            service=kind,
            api_key_env="TESSY_TEST_KEY",
            continuation=continuation,
            tokenizer=tokenizer,  # type: ignore[arg-type]
        )
        backend = OpenAIBackend("modell", options, url=service.url)
        refusal = r"`modell` does not exist.*; http\S+ (has no list|lists no model)"
        with pytest.raises(ConfigError, match=refusal) as caught:
            await backend.start()
        await backend.close()
    assert ("did you mean 'mode'?" in str(caught.value)) == (page is NO_LIST[3])


async def test_a_server_of_ones_own_lists_all_it_has() -> None:
    service = standin("ollama", lists("models", "other", owner="library"))
    with pytest.raises(ConfigError, match="lists no model of that name; did you mean 'models'"):
        await started(service)
    assert service.requests == []


@pytest.mark.parametrize("name", ["model:latest", "models/model"])
async def test_names_that_are_listed_at_more_length(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await started(standin("ollama", lists(name, owner="library")))
    assert not caplog.text


async def test_a_server_of_ones_own_behind_a_proxy_without_a_list() -> None:
    standing = standin("ollama", answers(404, ""))
    await started(standing)
    assert standing.requests


async def test_a_key_that_no_list_wants_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSY_WRONG", "sk-wrong-4821")
    with pytest.raises(ConfigError, match=r"key is refused.*variable TESSY_WRONG"):
        await started(standin("deepseek", lists("model")), api_key_env="TESSY_WRONG")
