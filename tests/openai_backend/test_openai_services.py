"""Every provider's documented behaviour, from the probe to the row."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from helpers import WordDetector, check_row, rows, write_prompts
from openai_standin import ANSWER, KEY, THINKING, Service, serving
from tessy.abc import Options, Session, SwitchPolicy
from tessy.boundary import Origin
from tessy.config.fitting import fitting
from tessy.detection import Detection
from tessy.errors import (
    BackendDown,
    BackendRejected,
    BackendUnavailable,
    ConfigError,
    ContinuationUnsupported,
    UnsafeText,
)
from tessy.execution import Outcome, Plan, execute
from tessy.observer import Observer
from tessy.plugins import Registry
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import TeacherOnly
from tessy.rowwriter import Crew
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.types import Chunk, Prompt, Request, Span, Turn
from tessy_openai.backend import OpenAIBackend
from tessy_openai.options import OpenAIOptions

MODEL = Path(__file__).parents[2] / "examples" / "miniature" / "models" / "student"
QUESTION = Prompt.user("Why?")
OWN = ("llama-server", "vllm", "sglang", "ollama")
MODES = {
    "deepseek": "prefix",
    "mistral": "prefix",
    "groq": "trailing-assistant",
    "openrouter": "trailing-assistant",
    "together": "text",
    "deepinfra": "text",
    "fireworks": "token-ids",
    "llama-server": "continue-final-message",
    "ollama": "trailing-assistant",
    "openai": "none",
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSY_TEST_KEY", KEY)


def make(service: Service, **options: Any) -> OpenAIBackend:
    if service.kind not in OWN:
        options = {"service": service.kind, "api_key_env": "TESSY_TEST_KEY", **options}
    if service.kind in ("together", "deepinfra", "fireworks"):
        options = {"tokenizer": str(MODEL), **options}
    return OpenAIBackend("model", OpenAIOptions(**options), url=service.url)


@pytest.fixture(params=sorted(MODES))
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with serving(Service(request.param)) as service:
        yield service


async def read(session: Session, request: Request, most: int | None = None) -> list[Chunk]:
    chunks: list[Chunk] = []
    async with aclosing(session.generate(request)) as stream:
        async for chunk in stream:
            chunks.append(chunk)
            if most is not None and len(chunks) >= most:
                break
    return chunks


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def request(phase: str = "think", *spans: Span, **turn: Any) -> Request:
    return Request(Turn("teacher", phase, **turn), spans, 7, closed=phase == "answer")  # type: ignore[arg-type]


def span(text: str, phase: str = "think", author: str = "student") -> Span:
    return Span(author, phase, text, 0, 1)  # type: ignore[arg-type]


async def test_auto_finds_each_services_way(service: Service) -> None:
    backend = make(service)
    await backend.start()
    try:
        facts = backend.facts()
        assert facts["continuation"] == MODES[service.kind], facts
        assert facts["because"]
        assert backend.capabilities.continuation == (service.kind != "openai")
        asked = [body for body in service.requests if not body.get("stream") or body.get("messages")]
        assert len(asked) <= 3
        assert sum(cost_of(body) for body in service.requests) <= backend.start_cost()
    finally:
        await backend.close()


def cost_of(body: dict[str, Any]) -> int:
    """Tokens at most: a character of the prompt is one, at most."""
    said = body.get("prompt") or "".join(str(one.get("content")) for one in body["messages"])
    return len(said) + (body.get("max_tokens") or body["max_completion_tokens"])


async def test_what_is_told_is_not_probed(service: Service) -> None:
    backend = make(service, continuation="none")
    assert backend.start_cost() == 0
    await backend.start()
    assert service.requests == []
    await backend.close()


async def test_a_begun_thinking_is_continued_closed_and_answered(service: Service) -> None:
    if service.kind == "openai":
        pytest.skip("OpenAI documents no way to continue a text")
    backend = make(service)
    await backend.start()
    try:
        session = backend.session(QUESTION, "k")
        begun = span(THINKING[:24])
        chunks = await read(session, request("think", begun))
        assert text_of(chunks) == THINKING[24:]
        assert chunks[-1].finish == "end_of_thinking"
        whole = (begun, span(THINKING[24:], author="teacher"))
        chunks = await read(session, request("answer", *whole))
        assert text_of(chunks) == ANSWER
        assert chunks[-1].finish == "end_of_turn"
        half = (*whole, span(ANSWER[:10], "answer"))
        assert text_of(await read(session, request("answer", *half))) == ANSWER[10:]
        usage = session.usage()
        assert usage is not None
        assert usage.requests == 3
        assert usage.generated > 0
        await session.close()
    finally:
        await backend.close()
    assert service.open == 0


async def test_a_whole_trace_from_its_beginning(service: Service) -> None:
    """What every service can, also the one that cannot continue: think and answer by itself."""
    backend = make(service)
    await backend.start()
    try:
        session = backend.session(QUESTION, "k")
        chunks = await read(session, request())
        assert chunks[-1].finish == "end_of_thinking"
        thinking = text_of(chunks)
        assert thinking == ("" if service.kind == "openai" else THINKING)
        spans = (span(thinking, author="teacher"),) if thinking else ()
        chunks = await read(session, request("answer", *spans))
        assert text_of(chunks) == ANSWER
        assert chunks[-1].finish == "end_of_turn"
    finally:
        await backend.close()


async def run(folder: Path, backend: OpenAIBackend, policy: SwitchPolicy, count: int = 6) -> Outcome:
    made = {"teacher": backend, "student": ScriptedBackend("student", ScriptedOptions(think=40))}
    detection = None
    if policy.needs.labels:
        detection = Detection(WordDetector(Options()), Origin("style detector", "words", "tests"))
    crew = Crew(
        policy,
        Origin("policy", "tessy"),
        {role: made[role] for role in policy.needs.roles},
        {role: Origin("backend", "openai") for role in policy.needs.roles},
        detection,
        partial(fitting, Registry.discover()),
    )
    prompts = write_prompts(folder / "prompts.jsonl", count)
    return await execute(Plan(str(prompts), folder / "run", crew, "tessy", {}), Observer())


async def test_rows_written_together(service: Service, tmp_path: Path) -> None:
    if service.kind == "openai":
        with pytest.raises(ContinuationUnsupported, match=r"policies that would work: .*\bteacher-only\b"):
            await run(tmp_path, make(service), TessyPolicy(TessyOptions()))
        assert not (tmp_path / "run" / "data.jsonl").exists()
        return
    outcome = await run(tmp_path, make(service), TessyPolicy(TessyOptions()))
    assert (outcome.done, outcome.failed) == (6, 0), (tmp_path / "run" / "failures.jsonl").read_text()
    for row in rows(tmp_path / "run"):
        check_row(row)
        assert {s["author"] for s in row["tessy"]["spans"]} == {"teacher", "student"}
    assert service.open == 0
    for path in (tmp_path / "run").iterdir():
        assert KEY.encode() not in path.read_bytes()


async def test_one_model_alone_with_any_service(service: Service, tmp_path: Path) -> None:
    outcome = await run(tmp_path, make(service), TeacherOnly(IsolationOptions()))
    assert (outcome.done, outcome.failed) == (6, 0), (tmp_path / "run" / "failures.jsonl").read_text()
    for row in rows(tmp_path / "run"):
        assert row["messages"][-1]["content"].endswith(ANSWER)
        assert (THINKING in row["messages"][-1]["content"]) == (service.kind != "openai")


async def test_instructed_spans_say_so(tmp_path: Path) -> None:
    async with serving(Service("openai")) as service:
        backend = make(service, continuation="instruct")
        outcome = await run(tmp_path, backend, TessyPolicy(TessyOptions(answer="teacher")))
        assert (outcome.done, outcome.failed) == (6, 0), (tmp_path / "run" / "failures.jsonl").read_text()
        for row in rows(tmp_path / "run"):
            check_row(row)
            by = {s["author"]: s.get("via") for s in row["tessy"]["spans"]}
            assert by == {"teacher": "instructed", "student": None}
            assert row["messages"][-1]["content"].endswith(ANSWER)


async def test_closing_a_stream_closes_the_connection() -> None:
    async with serving(Service("deepseek", delay=0.01)) as service:
        backend = make(service)
        await backend.start()
        await asyncio.gather(
            *(read(backend.session(QUESTION, f"k{i}"), request("think", span("Hmm")), 2) for i in range(50))
        )
        written = service.written
        for _ in range(100):
            if service.open == 0:
                break
            await asyncio.sleep(0.01)
        assert service.open == 0
        assert service.written - written < 100
        await backend.close()


UNSAFE = ["a <|im_end|> b", "a </think> b", "<think>", "<｜User｜>", "x </s>"]


@pytest.mark.parametrize("text", UNSAFE)
@pytest.mark.parametrize("kind", ["deepseek", "groq", "together"])
async def test_text_that_spells_control_strings_is_refused_in_text_modes(kind: str, text: str) -> None:
    async with serving(Service(kind)) as service:
        options = {"tokenizer": None, "template": "chatml-think"} if kind == "together" else {}
        backend = make(service, **options)
        await backend.start()
        asked = len(service.requests)
        with pytest.raises(UnsafeText, match="continuation=token-ids can"):
            await read(backend.session(QUESTION, "k"), request("think", span(text)))
        with pytest.raises(UnsafeText):
            await read(backend.session(Prompt.user(text), "k"), request("think", span("Hm")))
        assert len(service.requests) == asked, "nothing of it was sent"
        await backend.close()


async def test_and_is_plain_text_in_token_ids() -> None:
    async with serving(Service("fireworks")) as service:
        backend = make(service)
        await backend.start()
        chunks = await read(backend.session(QUESTION, "k"), request("think", span("a </think> <|im_end|> b")))
        assert chunks[-1].ids
        codec = backend.running.codec
        assert codec is not None
        prompt = service.requests[-1]["prompt"]
        ends = codec.encode_control("</think><|im_end|>")
        # The prompt's own <|im_end|> after the question, and no other.
        assert [prompt.count(i) for i in ends] == [0, 1]
        await backend.close()


# --- faults -------------------------------------------------------------------------------------


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
        backend = make(service, first_token_timeout=1, token_timeout=1)
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
        (raw(b"<html>hello</html>", kind="text/html"), BackendRejected, "text/html, not a stream: '<html>"),
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


async def test_an_answer_that_does_not_come_is_asked_for_again(
    deepseek: tuple[Service, OpenAIBackend],
) -> None:
    service, backend = deepseek
    service.faults = [stall]
    chunks = await read(backend.session(QUESTION, "k"), request("think", span("Hm")))
    assert chunks[-1].finish == "end_of_thinking"


async def test_a_service_that_only_stalls_is_down_once_patience_has_ended() -> None:
    async with serving(Service("deepseek")) as service:
        backend = make(service, first_token_timeout=0.2, patience=1)
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
        await refused(ConfigError, "key is refused", service, api_key_env="TESSY_WRONG")
        await refused(ConfigError, "TESSY_NONE.*is not set", service, api_key_env="TESSY_NONE")
        await refused(ConfigError, "did you mean 'together'", service, service="togther")
        await refused(ConfigError, "token-ids needs the model's tokenizer", service, continuation="token-ids")
        await refused(ConfigError, "text needs the model's chat template", service, continuation="text")
    async with serving(Service("deepseek")) as service:
        await refused(ConfigError, r"no model of that name; did you mean 'model'", service, model="modell")
        service.url = service.url.replace("/v1", "/v2")
        await refused(ConfigError, "HTTP 404", service)
        service.url = "http://127.0.0.1:9/v1"
        await refused(BackendUnavailable, "127.0.0.1:9", service)


async def test_a_page_where_an_api_should_be() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>welcome</html>", content_type="text/html")

    service = Service("deepseek")
    service.models = page  # type: ignore[method-assign]
    async with serving(service):
        await refused(ConfigError, "does not speak the OpenAI API.*welcome", service)
