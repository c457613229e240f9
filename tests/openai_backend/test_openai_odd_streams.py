"""Streams that keep to the letter of no documentation, and texts that a service or its model refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_backend.asking import QUESTION, make, read, request, span, text_of
from openai_backend.test_openai_faults import raw
from openai_standin import Service, serving
from tessy.errors import BackendRejected
from tessy_openai.refusal import said


def choice(finish: Any = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def events(*said: dict[str, Any], end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(one).encode() for one in said) + end


THINKS = {"choices": [choice(reasoning="Hm.")]}
FOUR = {"choices": [choice(content="Four.")]}
STOPS = {"choices": [choice("stop")]}
OTHER = {"choices": [choice(index=1, reasoning="Other.", content="Five.")]}
ZERO = {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}
ERROR = {"error": {"message": "bad request", "code": 400}}


@pytest.mark.parametrize(
    "stream",
    [
        b"\xef\xbb\xbf" + events(THINKS, FOUR, STOPS),
        events(THINKS, FOUR, STOPS, end=b""),
        events(THINKS, FOUR, STOPS, end=b"").rstrip(),
        events(THINKS, FOUR, STOPS, end=b'data: {"choi'),
        events(THINKS, OTHER, FOUR, {"choices": [choice("stop", 1)]}, STOPS),
        events({"choices": OTHER["choices"] + THINKS["choices"]}, FOUR, STOPS),
        events(THINKS, {"choices": [choice("STOP", content="Four.")]}),
        events(THINKS, {"choices": [choice(content=["Four."])]}, STOPS),
        events(THINKS, FOUR, STOPS, ERROR),
        events({**THINKS, "error": ""}, {**FOUR, "error": {}}, STOPS),
        events({**THINKS, **ZERO}, {**FOUR, **ZERO}, STOPS),
        events(
            THINKS, FOUR, STOPS, {"choices": [], "usage": {"prompt_tokens": "9", "completion_tokens": -1}}
        ),
        events(THINKS, FOUR, {**STOPS, "usage": {"completion_tokens": 2.0, "prompt_tokens_details": ["x"]}}),
    ],
    ids=(
        "mark,no-end,no-line-end,cut-end,n=2,n=2-together,capitals,list,error-after,error-empty,zeros,"
        "no-numbers,odd-numbers"
    ).split(","),
)
async def test_streams_that_are_odd_but_plain(stream: bytes) -> None:
    async with serving(Service("groq")) as service:
        backend = make(service, continuation="none", patience=1.0)
        await backend.start()
        service.faults = [raw(stream)]
        session = backend.session(QUESTION, "k")
        assert text_of(await read(session, request())) == "Hm."
        chunks = await read(session, request("answer", span("Hm.", author="teacher")))
        assert (text_of(chunks), chunks[-1].finish) == ("Four.", "end_of_turn")
        usage = session.usage()
        assert (usage.generated, type(usage.generated)) == (2, int)
        assert (usage.prompt > 0, type(usage.prompt)) == (True, int)
        await session.close()
        await backend.close()


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ([choice("content_filter")], "the service stopped the text: 'content_filter'"),
        ([choice("SAFETY", content="Fo")], "the service stopped the text: 'safety'"),
        ([choice("stop", refusal="I will not.")], "the model refuses: I will not"),
    ],
    ids=["filter", "safety", "refusal"],
)
async def test_a_text_that_was_refused_is_not_asked_for_again(last: list[Any], why: str) -> None:
    """Nor is it an answer: the model would be asked to go on from there, and stopped, without end."""
    async with serving(Service("deepseek")) as service:
        backend = make(service)
        await backend.start()
        service.faults = [raw(events({"choices": last}))]
        asked = len(service.requests)
        with pytest.raises(BackendRejected, match=why):
            await read(backend.session(QUESTION, "k"), request("answer", span("Hm")))
        assert len(service.requests) == asked + 1
        await backend.close()


def test_an_error_that_is_nested_without_end() -> None:
    error: Any = "no"
    for _ in range(5000):
        error = {"error": error}
    assert "nested too deeply" in said(error)
