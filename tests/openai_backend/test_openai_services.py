"""Every provider's documented behaviour, from the probe to the row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helpers import WordDetector, check_row, rows, write_prompts
from openai_backend.asking import OWN, QUESTION, make, read, request, span, text_of
from openai_standin import ANSWER, KEY, THINKING, Service, serving
from tessy.abc import Options, SwitchPolicy
from tessy.boundary import Origin
from tessy.config.fitting import fitting
from tessy.crew import Crew
from tessy.detection import Detection
from tessy.draft import Draft
from tessy.errors import (
    BackendRejected,
    ConfigError,
    ContinuationUnsupported,
    UnsafeText,
)
from tessy.execution import execute
from tessy.observer import Observer
from tessy.plan import Outcome, Plan
from tessy.plugins import Registry
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import TeacherOnly
from tessy.testing import ScriptedBackend, ScriptedOptions
from tessy.types import Prompt, Request, Turn
from tessy_openai.backend import OpenAIBackend

MODES = {
    "deepseek": "prefix",
    "mistral": "prefix",
    "gemini": "trailing-assistant",
    "groq": "trailing-assistant",
    "openrouter": "trailing-assistant",
    "together": "text",
    "deepinfra": "text",
    "fireworks": "token-ids",
    "llama-server": "continue-final-message",
    "ollama": "trailing-assistant",
    "openai": "none",
}


@pytest.fixture(params=sorted(MODES))
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with serving(Service(request.param)) as service:
        yield service


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


async def test_a_probe_has_the_fields_of_every_request(service: Service) -> None:
    """What a service refuses of them, it refuses at the start."""
    if service.kind == "openai":
        pytest.skip("OpenAI documents no way to continue a text")
    options: dict[str, Any] = {"top_p": 0.9}
    if MODES[service.kind] not in ("text", "token-ids"):
        options["reasoning_effort"] = "low"
    backend = make(service, **options)
    await backend.start()
    probe = service.requests[-1]
    await read(backend.session(QUESTION, "k"), request("think", span(THINKING[:24])))
    await backend.close()
    asked = service.requests[-1]
    assert asked.keys() <= probe.keys()
    same = asked.keys() - {"prompt", "messages", "max_tokens", "seed", "random_seed"}
    assert {name: probe[name] for name in same} == {name: asked[name] for name in same}
    assert ("stream_options" in asked) == (service.kind != "mistral")


async def test_a_field_that_is_null_is_not_sent(service: Service) -> None:
    backend = make(service, extra={"seed": None, "stream_options": None, "stop": None, "safe_prompt": False})
    await backend.start()
    await read(backend.session(QUESTION, "k"), request())
    await backend.close()
    assert service.requests
    for body in service.requests:
        assert not {"seed", "stream_options", "stop"} & body.keys()
        assert body["safe_prompt"] is False


async def test_what_is_told_is_not_probed(service: Service) -> None:
    backend = make(service, continuation="none")
    assert backend.start_cost() < 512, "an answer, if its list had not the model"
    await backend.start()
    assert service.requests == []
    await backend.close()


async def test_requests_are_limited_where_an_abort_may_come_late(service: Service) -> None:
    for limit, capped in (("auto", service.kind not in (*OWN, "openai")), ("none", False)):
        backend = make(service, limit=limit)
        await backend.start()
        assert backend.capabilities.capped == capped
        await backend.close()
    backend = make(service, limit="adaptive")
    if service.kind == "openai":
        with pytest.raises(ConfigError, match="cannot go on in the middle of a turn"):
            await backend.start()
    else:
        await backend.start()
        assert backend.capabilities.capped
    await backend.close()


async def test_it_is_asked_ahead_where_that_costs_next_to_nothing(service: Service) -> None:
    for ahead, limit, asked in (
        ("auto", "auto", service.kind in OWN),
        ("auto", "adaptive", service.kind in OWN),
        ("off", "none", False),
        ("on", "none", True),
    ):
        if service.kind == "openai" and (ahead == "on" or limit == "adaptive"):
            continue
        backend = make(service, ask_ahead=ahead, limit=limit)
        await backend.start()
        assert backend.capabilities.ahead == asked
        await backend.close()
    backend = make(service, ask_ahead="on", limit="auto" if service.kind not in OWN else "adaptive")
    with pytest.raises(ConfigError, match=r"cannot go on in the middle|say limit=none"):
        await backend.start()
    await backend.close()


@pytest.mark.parametrize("most", [1, 2, 3, 5, 8])
async def test_a_turn_in_several_requests_is_the_same_text(service: Service, most: int) -> None:
    if service.kind == "openai":
        pytest.skip("OpenAI documents no way to continue a text")
    backend = make(service)
    await backend.start()
    try:
        session = backend.session(QUESTION, "k")
        draft, asked = Draft(Turn("teacher")), 0
        while draft.finish is None:
            begun = [span(THINKING[:24])]
            if len(draft):
                begun.append(draft.span(len(draft), 1))
            room = most * 2**asked  # as it grows when nothing but a part of a mark came
            turn = replace(draft.turn, max_tokens=room)
            going = Request(turn, begun, 7, draft.tokens, uncommitted=len(begun) - 1, more=True)
            for chunk in await read(session, going):
                draft.extend(chunk)
            asked += 1
            if draft.finish == "length":
                draft.pause()
        assert (draft.text, draft.finish) == (THINKING[24:], "end_of_thinking")
        assert asked > 1
        usage = session.usage()
        assert usage is not None
        assert usage.requests == asked
        # What was cut off of the turn is not in the next request.
        whole = span(THINKING[24:], author="teacher")
        chunks = await read(session, request("answer", span(THINKING[:24]), whole))
        assert text_of(chunks) == ANSWER
        await session.close()
    finally:
        await backend.close()
    assert service.open == 0


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


async def test_how_a_fresh_thinking_comes_says_nothing_of_a_begun_one(service: Service) -> None:
    if service.kind == "openai":
        pytest.skip("OpenAI documents no way to continue a text")
    backend = make(service)
    await backend.start()
    try:
        for key in ("k", "l"):
            assert text_of(await read(backend.session(QUESTION, key), request())) == THINKING
            begun = request("think", span(THINKING[:24]))
            chunks = await read(backend.session(QUESTION, f"{key}m"), begun)
            assert (text_of(chunks), chunks[-1].finish) == (THINKING[24:], "end_of_thinking")
    finally:
        await backend.close()


async def test_a_thinking_that_is_closed_early_is_answered_as_it_is(service: Service) -> None:
    """Where the service cannot be told that it is closed, its model thinks on: no answer to that thinking."""
    backend = make(service)
    await backend.start()
    try:
        session = backend.session(QUESTION, "k")
        asked = request("answer", span("So it is 42."))
        if service.kind == "deepseek":
            with pytest.raises(ContinuationUnsupported, match=r"still sends thinking.*let the other model"):
                await read(session, asked)
        elif service.kind != "openai":
            assert text_of(await read(session, asked)) == ANSWER
    finally:
        await backend.close()
    assert service.open == 0


@pytest.mark.parametrize("kind", ["deepseek", "llama-server", "openrouter"])
async def test_what_a_model_thinks_before_it_answers_a_question_is_left_out(kind: str) -> None:
    async with serving(Service(kind)) as service:
        backend = make(service)
        await backend.start()
        chunks = await read(backend.session(QUESTION, "k"), Request(Turn("teacher", "answer"), (), 7))
        assert text_of(chunks) == ANSWER
        await backend.close()


@pytest.mark.parametrize("continuation", ["auto", "none", "trailing-assistant"])
async def test_a_thinking_that_only_ends_is_no_answer(continuation: str) -> None:
    """A server without a reasoning parser, and a template that opens the thinking in the prompt."""
    async with serving(Service("groq", opens=True)) as service:
        backend = make(service, continuation=continuation)
        await backend.start()
        session = backend.session(QUESTION, "k")
        assert text_of(await read(session, request())) == ""
        with pytest.raises(BackendRejected, match=r"does not separate.*reasoning parser.*tokenizer="):
            await read(session, request("answer"))
        await session.close()
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
