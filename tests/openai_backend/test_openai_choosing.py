"""How a service continues a text, where it is not known and breaks at what it does not know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from openai_backend.asking import MODEL, QUESTION, read, request, span, text_of
from openai_standin import THINKING, Service, serving
from tessy.errors import BackendDown, BackendUnavailable
from tessy.testing.simulated import wire
from tessy_openai.backend import OpenAIBackend
from tessy_openai.options import OpenAIOptions

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tessy.remote.starting._PAUSES", (0.01, 0.01, 0.01))


def status(code: int) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return wire.refusal(code, "'int' object has no attribute 'strip'")

    return answer


async def drop(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def chat_in_disguise(request: web.Request) -> web.StreamResponse:
    """A gateway that makes a user's message of a raw prompt."""
    response = await wire.open_stream(request)
    for text, finish in (("It looks like you remember a number!", None), ("", "stop")):
        await response.write(wire.event({"choices": [wire.completion(text, finish=finish)]}))
    await response.write(wire.DONE)
    return response


def ids(body: dict[str, Any]) -> bool:
    return isinstance(body.get("prompt"), list)


def raw(body: dict[str, Any]) -> bool:
    return "prompt" in body


def everything(body: dict[str, Any]) -> bool:
    return True


def breaking(answer: Answer, when: Callable[[dict[str, Any]], bool]) -> Service:
    """A service that nobody knows, with raw completions, which answers so to some requests."""
    service = Service("lm-studio")

    def either(usual: Answer) -> Answer:
        async def page(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            if not when(body):
                return await usual(request)
            service.requests.append(body)
            return await answer(request)

        return page

    service.completions = either(service.completions)  # type: ignore[method-assign]
    service.chat = either(service.chat)  # type: ignore[method-assign]
    return service


def make(service: Service) -> OpenAIBackend:
    options = OpenAIOptions(api_key_env="TESSY_TEST_KEY", tokenizer=str(MODEL))
    return OpenAIBackend("model", options, url=service.url)


@pytest.mark.parametrize(
    ("answer", "when", "mode"),
    [
        (status(500), ids, "text"),
        (drop, ids, "text"),
        (status(400), ids, "text"),
        (status(500), raw, "continue-final-message"),
        (chat_in_disguise, raw, "continue-final-message"),
    ],
)
async def test_a_mode_that_breaks_a_server_or_proves_nothing_is_passed_over(
    answer: Answer, when: Callable[[dict[str, Any]], bool], mode: str
) -> None:
    async with serving(breaking(answer, when)) as service:
        backend = make(service)
        await backend.start()
        assert backend.facts()["continuation"] == mode
        assert "goes on from the middle" in str(backend.facts()["because"])
        chunks = await read(backend.session(QUESTION, "k"), request("think", span(THINKING[:24])))
        assert text_of(chunks) == THINKING[24:]
        await backend.close()


@pytest.mark.parametrize(
    ("answer", "kind", "times"),
    [
        (status(500), BackendUnavailable, 4 * 4),
        (status(503), BackendUnavailable, 4),  # busy, whatever it is asked
        (status(402), BackendDown, 1),
    ],
)
async def test_a_service_that_breaks_at_everything_is_not_used(
    answer: Answer, kind: type[Exception], times: int
) -> None:
    async with serving(breaking(answer, everything)) as service:
        backend = make(service)
        with pytest.raises(kind, match="strip") as caught:
            await backend.start()
        assert type(caught.value) is kind
        assert len(service.requests) == times
        await backend.close()


async def test_why_a_mode_was_passed_over_is_told() -> None:
    async def confused(request: web.Request) -> web.StreamResponse:
        return await (chat_in_disguise if "/chat/" not in request.path else status(422))(request)

    async with serving(breaking(confused, everything)) as service:
        backend = make(service)
        await backend.start()
        assert backend.facts()["continuation"] == "none"
        told = str(backend.facts()["because"])
        assert "text: it does not go on from the middle: it said 'It looks like" in told
        assert "trailing-assistant: " in told
        await backend.close()
