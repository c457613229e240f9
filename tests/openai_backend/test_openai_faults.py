"""Services that fail, break off, stall or are none, and what is wrong on our side."""

from __future__ import annotations

import asyncio
import json
import os
import re
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from openai_backend.asking import QUESTION, make, read, request, span, text_of
from openai_standin import KEY, THINKING, Service, serving
from tessy.errors import (
    BackendDown,
    BackendRejected,
    BackendUnavailable,
    ConfigError,
)
from tessy_openai.backend import OpenAIBackend
from tessy_openai.options import OpenAIOptions


def status(
    code: int, text: str = '{"error": {"message": "no"}}', **headers: str
) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=code, text=text, content_type="application/json", headers=headers)

    return answer


def raw(*parts: bytes, kind: str = "text/event-stream", reset: bool = False) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(0)
        if reset and request.transport is not None:
            request.transport.abort()
        return response

    return answer


async def stall(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


def event(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


DONE = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
async def deepseek() -> AsyncIterator[tuple[Service, OpenAIBackend]]:
    async with serving(Service("deepseek")) as service:
        backend = make(service)
        await backend.start()
        yield service, backend
        await backend.close()


@pytest.mark.parametrize(
    "fault",
    [
        status(429, **{"Retry-After": "0.1"}),
        status(500),
        status(502, "<html>bad gateway</html>"),
        status(503),
        status(529),
        raw(reset=True),
        raw(b"<html>hello</html>", kind="text/html"),
    ],
)
async def test_what_fails_before_the_first_token_is_tried_again(
    deepseek: tuple[Service, OpenAIBackend], fault: Callable[[web.Request], Any]
) -> None:
    service, backend = deepseek
    service.faults = [fault]
    chunks = await read(backend.session(QUESTION, "k"), request("think", span(THINKING[:24])))
    assert text_of(chunks) == THINKING[24:]


@pytest.mark.parametrize(
    ("fault", "kind", "match"),
    [
        (status(400), BackendRejected, "HTTP 400.*no"),
        (status(402), BackendDown, "no credit"),
        (status(404), BackendRejected, "no such model"),
        (
            status(400, '[{"error": {"code": 400, "message": "Unknown name"}}]'),
            BackendRejected,
            "400: Unknown name.",
        ),
        (status(400, '{"errors": [{"message": "a"}, {"message": "b"}]}'), BackendRejected, "400: a; b."),
        (status(422, '{"detail": [{"loc": ["x"], "msg": "extra"}]}'), BackendRejected, "'msg': 'extra'"),
        (status(400, '{"error": "only text"}'), BackendRejected, "400: only text."),
        (status(400, "[]"), BackendRejected, "refused .HTTP 400.$"),
        (status(400, "plain\ntext"), BackendRejected, "400: plain text."),
        (raw(event(reasoning_content="Hm"), reset=True), BackendUnavailable, "127.0.0.1"),
        (raw(event(reasoning_content="Hm")), BackendUnavailable, "broke off"),
        (raw(event(reasoning_content="Hm"), b"data: {not json}\n\n"), BackendUnavailable, "JSON"),
        (
            raw(event(reasoning_content="Hm"), b'data: {"error": {"message": "overloaded"}}\n\n'),
            BackendUnavailable,
            "overloaded",
        ),
    ],
)
async def test_what_fails_for_good_says_why(
    deepseek: tuple[Service, OpenAIBackend],
    fault: Callable[[web.Request], Any],
    kind: type[Exception],
    match: str,
) -> None:
    service, backend = deepseek
    service.faults = [fault]
    with pytest.raises(kind, match=match) as caught:
        await read(backend.session(QUESTION, "k"), request("think", span("Hm")))
    assert KEY not in "".join(traceback.format_exception(caught.value))


TOO_LONG = "inputs must have less than 4096 tokens"


def reported(more: dict[str, Any] | None = None, **error: Any) -> Callable[[web.Request], Any]:
    """An error in a stream that has begun well."""
    return raw(
        b": keep-alive\n\n", b"data: " + json.dumps({"error": error, **(more or {})}).encode() + b"\n\n"
    )


@pytest.mark.parametrize(
    ("fault", "kind", "match"),
    [
        (reported(message=TOO_LONG, http_status_code=422), BackendRejected, f"HTTP 422: {TOO_LONG}"),
        (reported(message=TOO_LONG, type="BAD_REQUEST", code=400), BackendRejected, f"HTTP 400: {TOO_LONG}"),
        (raw(b'data: {"error": "too long", "error_type": "validation"}\n\n'), BackendRejected, "too long"),
        (
            reported(
                {"choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}, message="m", code=402
            ),
            BackendDown,
            "no credit left .HTTP 402: m",
        ),
        (reported(message="blocked", code=403), BackendRejected, "blocked"),
        (reported(message="quota", code="insufficient_quota"), BackendDown, "no credit left"),
        (
            status(429, '{"error": {"message": "see billing", "type": "insufficient_quota", "code": "x"}}'),
            BackendDown,
            "no credit left .HTTP 429: see billing",
        ),
        (
            status(429, '{"error": {"message": "see billing", "code": "insufficient_quota"}}'),
            BackendDown,
            "no credit left .HTTP 429: see billing",
        ),
    ],
)
async def test_a_refusal_for_good_is_not_asked_for_again(
    deepseek: tuple[Service, OpenAIBackend],
    fault: Callable[[web.Request], Any],
    kind: type[Exception],
    match: str,
) -> None:
    service, backend = deepseek
    asked = len(service.requests)
    service.faults = [fault]
    with pytest.raises(kind, match=match) as caught:
        await read(backend.session(QUESTION, "k"), request("think", span("Hm")))
    assert type(caught.value) is kind
    assert len(service.requests) == asked + 1


@pytest.mark.parametrize(
    "error",
    [{"code": 429}, {"code": 502}, {"code": 503}, {"code": True}, {"code": "rate_limit"}, {"code": 17}, {}],
)
async def test_what_a_stream_reports_of_a_moment_is(
    deepseek: tuple[Service, OpenAIBackend], error: dict[str, Any]
) -> None:
    service, backend = deepseek
    service.faults = [reported(message="for a moment", **error)]
    chunks = await read(backend.session(QUESTION, "k"), request("think", span(THINKING[:24])))
    assert text_of(chunks) == THINKING[24:]


async def test_an_answer_that_does_not_come_is_asked_for_again() -> None:
    async with serving(Service("deepseek")) as service:
        backend = make(service, first_token_timeout=1.5)
        await backend.start()
        service.faults = [stall]
        chunks = await read(backend.session(QUESTION, "k"), request("think", span("Hm")))
        assert chunks[-1].finish == "end_of_thinking"
        await backend.close()


async def test_a_service_that_only_stalls_is_down_once_patience_has_ended() -> None:
    async with serving(Service("deepseek")) as service:
        backend = make(service, first_token_timeout=1, patience=3)
        await backend.start()
        service.faults = [stall] * 20
        with pytest.raises(BackendDown, match="first_token_timeout"):
            await read(backend.session(QUESTION, "k"), request("think", span("Hm")))
        await backend.close()


@pytest.mark.parametrize(
    "parts",
    [
        [event(reasoning_content="é🎉 x"), event(content="4"), DONE],
        [
            b": comment\n\n",
            event(reasoning_content="é🎉 x"),
            b"\n\n",
            event(content="4"),
            DONE,
            b"data: [DONE]\n\n",
        ],
        [event(reasoning_content="é🎉 x"), b'data: {"choices": []}\n\n', event(content="4"), DONE],
        [*(bytes([b]) for b in event(reasoning_content="é🎉 x") + event(content="4") + DONE)],
        [event(role="assistant", content=""), event(reasoning_content="é🎉 x"), event(content="4"), DONE],
    ],
)
async def test_streams_in_all_their_forms(
    deepseek: tuple[Service, OpenAIBackend], parts: list[bytes]
) -> None:
    service, backend = deepseek
    service.faults = [raw(*parts)]
    chunks = await read(backend.session(QUESTION, "k"), request("think", span("Hm")))
    assert text_of(chunks) == "é🎉 x"
    assert chunks[-1].finish == "end_of_thinking"


ENDED = b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}, "finish_reason": "stop"}]}\n\n'


@pytest.mark.parametrize(
    "parts",
    [
        [event(content="<think>\nHm.\n</think>"), event(content="\n\nFour"), event(content=" it is."), DONE],
        [event(content="<think>\nHm.\n</think>\n"), event(content="\n"), event(content="Four it is."), DONE],
        [event(content="<think>\nHm.\n</think>\n\nFour it is."), DONE],
        [ENDED % rb"<think>\nHm.\n</think>\n\nFour it is."],
        [event(reasoning_content="Hm."), ENDED % b"Four it is."],
        [event(reasoning="Hm."), event(content="\n\n"), event(content="Four it is."), DONE],
    ],
)
async def test_an_answer_in_the_stream_of_its_thinking_is_whole(parts: list[bytes]) -> None:
    async with serving(Service("groq")) as service:
        backend = make(service, continuation="none")
        await backend.start()
        service.faults = [raw(*parts)]
        session = backend.session(QUESTION, "k")
        assert text_of(await read(session, request())) == "Hm."
        chunks = await read(session, request("answer", span("Hm.", author="teacher")))
        assert (text_of(chunks), chunks[-1].finish) == ("Four it is.", "end_of_turn")
        await session.close()
        await backend.close()


async def test_an_answer_is_held_while_its_thinking_is_journaled_in_pieces() -> None:
    async with serving(Service("groq")) as service:
        backend = make(service, continuation="none")
        await backend.start()
        service.faults = [raw(event(reasoning="Hm. So."), event(reasoning=" It", content="Four"), DONE)]
        session = backend.session(QUESTION, "k")
        assert text_of(await read(session, request())) == "Hm. So. It"
        pieces = [span(text, author="teacher") for text in ("Hm.", " So.", " It")]
        assert text_of(await read(session, request("answer", *pieces))) == "Four"
        await session.close()
        await backend.close()


# --- wrong use ----------------------------------------------------------------------------------


async def refused(
    kind: type[Exception], match: str, at: Service, model: str = "model", **options: Any
) -> None:
    backend = None
    with pytest.raises(kind, match=match) as caught:
        made = OpenAIOptions(**{"service": at.kind, "api_key_env": "TESSY_TEST_KEY", **options})
        backend = OpenAIBackend(model, made, url=at.url)
        await backend.start()
    if backend is not None:
        await backend.close()
    assert "\n" not in str(caught.value)
    told = "".join(traceback.format_exception(caught.value))
    assert KEY not in told
    assert os.environ.get("TESSY_WRONG", "-") not in told


async def test_what_is_wrong_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSY_WRONG", "sk-wrong-4821")
    async with serving(Service("together")) as service:
        await refused(
            ConfigError, "key is refused.*TESSY_WRONG .HTTP 401", service, api_key_env="TESSY_WRONG"
        )
        await refused(ConfigError, "TESSY_NONE.*is not set", service, api_key_env="TESSY_NONE")
        await refused(ConfigError, "did you mean 'together'", service, service="togther")
        await refused(ConfigError, "token-ids needs the model's tokenizer", service, continuation="token-ids")
        await refused(ConfigError, "text needs the model's chat template", service, continuation="text")
    async with serving(Service("deepseek")) as service:
        await refused(ConfigError, r"no model of that name; did you mean 'model'", service, model="modell")
        service.url = service.url.replace("/v1", "/v2")
        await refused(ConfigError, "HTTP 404: 404: Not Found.; http", service)
        monkeypatch.setattr("tessy.remote.starting._PAUSES", (0.01,))
        service.url = "http://127.0.0.1:9/v1"
        await refused(BackendUnavailable, "127.0.0.1:9", service)


async def test_a_key_whose_variable_ends_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSY_TEST_KEY", f"{KEY}\n")
    async with serving(Service("deepseek")) as service:
        backend = make(service)
        await backend.start()
        await backend.close()


async def test_a_key_that_is_missing_is_asked_for_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    async with serving(Service("deepseek")) as service:
        named = "no key was given; set the environment variable DEEPSEEK_API_KEY, .*api_key_env=.*HTTP 401"
        await refused(ConfigError, named, service, api_key_env=None)
        unknown = "no key was given; api_key_env= names the environment variable.*HTTP 401"
        await refused(ConfigError, unknown, service, api_key_env=None, service=None)
        monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-usual-4821")
        monkeypatch.setenv("TESSY_WRONG", "sk-usual-4821")
        usual = "key is refused, that of the environment variable DEEPSEEK_API_KEY .HTTP 401"
        await refused(ConfigError, usual, service, api_key_env=None)
        (file := tmp_path / "key").write_text("sk-usual-4821")
        file.chmod(0o600)
        held = f"key is refused, that of api_key_file {re.escape(str(file))} .HTTP 401"
        await refused(ConfigError, held, service, api_key_env=None, api_key_file=str(file))


async def test_an_address_without_a_path_is_given_one() -> None:
    async with serving(Service("deepseek")) as service:
        url, root = service.url, service.url.removesuffix("/v1")
        for given in (root, f"{root}/"):
            service.url = given
            await refused(ConfigError, rf"no path.*: try openai:model@{re.escape(url)};", service)


async def test_a_page_where_an_api_should_be() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>welcome</html>", content_type="text/html")

    service = Service("deepseek")
    service.models = page  # type: ignore[method-assign]
    async with serving(service):
        await refused(ConfigError, "does not speak the OpenAI API.*welcome", service)


@pytest.mark.parametrize("fault", [status(500), status(429, **{"Retry-After": "0.1"}), raw(b"<html>"), raw()])
async def test_a_probe_that_fails_for_a_moment_is_sent_again(
    fault: Callable[[web.Request], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tessy.remote.starting._PAUSES", (0.01, 0.01, 0.01))
    async with serving(Service("deepseek", faults=[fault, fault])) as service:
        backend = make(service)
        await backend.start()
        assert backend.capabilities.continuation
        await backend.close()


async def test_a_probe_that_keeps_failing_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tessy.remote.starting._PAUSES", (0.01, 0.01, 0.01))
    async with serving(Service("deepseek", faults=[status(503)] * 9)) as service:
        backend = make(service)
        with pytest.raises(BackendUnavailable, match="503"):
            await backend.start()
        await backend.close()
        assert len(service.faults) == 5
