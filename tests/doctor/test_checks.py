"""What each check finds out, on backends that have one thing wrong."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from doctor.patients import (
    Patient,
    PatientSession,
    examine_one,
    examined,
    finding,
    honest,
    made,
    patient,
    registry,
)
from tessy.abc import Capabilities
from tessy.doctor.continuing import starts_over
from tessy.errors import BackendRejected, UnsafeText
from tessy.types import Chunk, Request


def test_a_healthy_backend() -> None:
    report = examine_one(per_prompt_token=0.001)
    assert {found.check: (found.status, found.verdict) for found in report.findings} == {
        "start": ("ok", "usable"),
        "planted number": ("ok", "continues"),
        "middle of a word": ("ok", "continues"),
        "control tokens": ("ok", "plain text"),
        "closing a stream": ("ok", "stops"),
        "speed": ("ok", None),
        "speed at 8": ("ok", None),
        "prefix cache": ("ok", "works"),
    }
    assert finding(report, "middle of a word").said == "ant."
    assert report.facts == {"rate limits": {"requests": 60}}
    assert made[0].closed
    assert all(session.closed for session in made[0].sessions)


BEGUN = (
    "Before all else I was given a code word, and it is 7391. So, to repeat it once more, the code word is"
)


@pytest.mark.parametrize(
    ("came", "verdict"),
    [
        (" 7391. Okay, so that is done.", False),
        ("7391", False),
        (" something that I forgot", False),
        ("", False),
        ("ant by the lake", False),
        ("Okay, the user wants the code word 7391.", True),
        ("\n\nAlright, let me think.", True),
        ("<think>\nLet me see.", True),
        ("Before all else I was given a code word, and it is 7391.", True),
        (" Sentence. before  all else I was given a code word", True),
        ("Before all else", True),
    ],
)
def test_starting_over_is_told_from_going_on(came: str, verdict: bool) -> None:
    assert starts_over(BEGUN, came) is verdict


@pytest.mark.parametrize(
    ("says", "number", "word"),
    [
        (lambda request: f"Okay, let me see. {request.thinking}", "starts over", "starts over"),
        (lambda request: request.thinking, "starts over", "starts over"),
        (lambda request: "elephant, I think. 1 2 3", "unsure", "starts over"),
        (lambda request: " blue and green", "unsure", "unsure"),
        (lambda request: "", "unsure", "unsure"),
    ],
)
def test_continuation(says: object, number: str, word: str) -> None:
    report = examine_one(says=says)
    assert finding(report, "planted number").verdict == number
    assert finding(report, "middle of a word").verdict == word
    status = {"starts over": "bad", "unsure": "unsure"}
    assert finding(report, "planted number").status == status[number]


def test_the_text_to_continue_is_a_strangers_and_stands_in_the_phase_that_the_model_has() -> None:
    examine_one()
    begun = [request for request in made[0].requests if request.spans]
    assert {(s.author, s.phase) for request in begun for s in request.spans} == {("foreign", "think")}
    examine_one(marks=("", ""))
    begun = [request for request in made[0].requests if request.spans]
    assert {(s.author, s.phase) for request in begun for s in request.spans} == {("foreign", "answer")}
    assert all(request.closed for request in begun)


def test_a_number_differs_from_one_examination_to_the_next() -> None:
    said = set()
    for nonce in ("a", "b", "c"):
        report = examined("p:m", of=registry(p=patient()), nonce=nonce).reports[0]
        assert finding(report, "planted number").verdict == "continues"
        said.add(finding(report, "planted number").said)
    assert len(said) == 3


def test_without_continuation_nothing_is_asked_about_it() -> None:
    report = examine_one(can=Capabilities(continuation=False))
    for check in ("planted number", "middle of a word", "control tokens"):
        assert finding(report, check).status == "skipped"
    assert not any(request.spans for request in made[0].requests)


class Leaking(Patient):
    """Only the long generation is never let go."""

    async def active(self) -> int:
        asked = [request.turn.max_tokens for request in self.requests]
        return int(512 in asked)


def test_an_engine_that_never_gets_idle_again() -> None:
    found = finding(examined("p:m", of=registry(p=Leaking)).reports[0], "closing a stream")
    assert (found.status, found.verdict) == ("bad", "goes on generating")
    assert found.figures["active_after"] == 1
    assert found.figures["tokens_generated"] < 512


def test_an_engine_that_does_not_say() -> None:
    found = finding(examine_one(gauge=False), "closing a stream")
    assert (found.status, found.verdict) == ("unsure", "unsure")
    assert "does not say; it counted 3 of the 512 tokens" in found.summary


def test_an_engine_that_others_use_is_not_accused() -> None:
    class Busy(Patient):
        async def active(self) -> int:
            return 5 + self.running

    found = finding(examined("p:m", of=registry(p=Busy)).reports[0], "closing a stream")
    assert (found.status, found.verdict) == ("unsure", "unsure")
    assert "busy with 5" in found.summary


def test_a_model_that_ends_by_itself_proves_nothing_about_closing() -> None:
    found = finding(examine_one(says=lambda request: "no."), "closing a stream")
    assert found.verdict == "unsure"
    assert "had ended" in found.summary


def test_speed_alone_and_together() -> None:
    report = examine_one(per_token=0.02)
    alone, together = finding(report, "speed").figures, finding(report, "speed at 8").figures
    assert (alone["tokens"], together["tokens"]) == (64, 512)
    assert alone["tokens_per_second"] == pytest.approx(50)
    assert together["tokens_per_second"] == pytest.approx(400)
    assert alone["first_token_ms"] == pytest.approx(20)


class Throttled(PatientSession):
    """The service refuses the fourth of several streams."""

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if self.backend.running >= 3 and "harbour 4" in self.prompt.messages[0].content:
            raise BackendRejected("429: too many")
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                yield chunk


def test_a_stream_that_fails_among_others_is_told() -> None:
    found = finding(examine_one(opens=Throttled), "speed at 8")
    assert found.status == "bad"
    assert "1 of 8 failed: 429: too many" in found.summary
    assert found.figures["tokens"] == 7 * 64


def test_the_prefix_caches_effect() -> None:
    found = finding(examine_one(per_prompt_token=0.001, per_token=0.0), "prefix cache")
    assert found.figures["cached_tokens"] == found.figures["prompt_tokens"] - 1
    assert 1000 <= found.figures["prompt_tokens"] <= 2000
    assert found.figures["cold_ms"] == pytest.approx(found.figures["prompt_tokens"], rel=0.01)
    assert found.figures["warm_ms"] == pytest.approx(1)
    assert found.figures["ratio"] > 1000


class Forgetful(PatientSession):
    """Never has anything in its cache."""

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.known = 0
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                yield chunk


def test_no_prefix_cache() -> None:
    found = finding(examine_one(per_prompt_token=0.001, opens=Forgetful), "prefix cache")
    assert (found.status, found.verdict) == ("unsure", "not seen")
    assert found.figures["ratio"] == pytest.approx(1, rel=0.01)


def test_the_long_prompt_fits_into_a_small_context() -> None:
    found = finding(examine_one(can=Capabilities(context=400)), "prefix cache")
    assert found.figures["prompt_tokens"] <= 220


def test_control_tokens() -> None:
    assert finding(examine_one(), "control tokens").verdict == "plain text"
    found = finding(examine_one(ids=False), "control tokens")
    assert (found.status, found.verdict) == ("unsure", "accepted")
    assert any("<|im_end|>" in request.thinking for request in made[0].requests)

    def refusing(request: Request) -> str:
        if "<|im_end|>" in request.thinking:
            raise UnsafeText("spells a control string")
        return honest(request)

    found = finding(examine_one(ids=False, says=refusing), "control tokens")
    assert (found.status, found.verdict) == ("ok", "refused")


def test_a_check_that_fails_is_told_and_the_others_go_on() -> None:
    report = examine_one(refuses=BackendRejected("no spans here"))
    found = finding(report, "planted number")
    assert (found.status, found.summary) == ("error", "no spans here")
    assert finding(report, "speed").status == "ok"
    assert report.usable
