"""Servers that send without end, or would have key and prompts sent elsewhere; over real sockets."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tessy.cli.clean import clean
from tessy.errors import BackendError, BackendRejected
from tessy_openai.client import Clients
from tessy_openai.options import OpenAIOptions
from tessy_vllm.http import Http
from tessy_vllm.options import VllmOptions

KEY = "canary-5f1e0c"
SENT = 1 << 20
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSY_TEST_KEY", KEY)


async def ask_vllm(url: str) -> None:
    http = Http(VllmOptions(api_key_env="TESSY_TEST_KEY"), what="vllm:m", streams=1, urls=[url])
    await http.open()
    try:
        async for _ in http.events(f"{url}/completions", {}):
            pass
    finally:
        await http.close()


async def ask_openai(url: str) -> None:
    options = OpenAIOptions(api_key_env="TESSY_TEST_KEY", max_concurrency=4)
    clients = Clients([url], options, None, what="openai:m")
    clients.open()
    try:
        async for _ in clients.stream(url, "/completions", {"model": "m", "prompt": "x"}):
            pass
    finally:
        await clients.close()


CLIENTS = pytest.mark.parametrize("ask", [ask_vllm, ask_openai])


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield f"http://127.0.0.1:{server.port}/v1"
    finally:
        await server.close()


@CLIENTS
async def test_a_line_without_end_is_a_typed_error(ask: Callable[[str], Awaitable[None]]) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b"x" * SENT)
            sent += SENT

    async with serving(endless) as url:
        with pytest.raises(BackendRejected, match="a line of more than 16 MiB"):
            await asyncio.wait_for(ask(url), 60)
    assert sent < 64 * SENT


@CLIENTS
async def test_a_redirect_takes_neither_key_nor_prompts_along(ask: Callable[[str], Awaitable[None]]) -> None:
    stolen = []

    async def steal(request: web.Request) -> web.StreamResponse:
        stolen.append(str(request.headers))
        return web.Response(text="thanks")

    async with serving(steal) as there:

        async def redirect(request: web.Request) -> web.StreamResponse:
            assert KEY in str(request.headers)
            return web.Response(status=307, headers={"Location": there})

        async with serving(redirect) as url:
            with pytest.raises(BackendRejected, match=r"redirects to .*, which is not followed"):
                await ask(url)
    assert not stolen


@CLIENTS
async def test_a_key_that_the_server_quotes_is_not_told(ask: Callable[[str], Awaitable[None]]) -> None:
    async def quotes(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": f"bad key {KEY}"}}, status=400)

    async with serving(quotes) as url:
        with pytest.raises(BackendError, match=r"bad key \*\*\*") as caught:
            await ask(url)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_nothing_of_a_text_commands_the_terminal_or_turns_it_round() -> None:
    hostile = "\x1b]0;x\x07\x9b31m\x7f\u202egnp.exe\u2066x\u2069\u200f\u2028\udce9\r"
    shown = clean(hostile)
    assert len(shown) == len(hostile)
    assert all(char.isprintable() for char in shown), ascii(shown)
    assert clean("naïve 日本 🙂 a\tb\n") == "naïve 日本 🙂 a\tb\n"
