"""Text streams: what ends a thinking, what is held back, what belongs to the answer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_standin import CODEC
from tessy.errors import BackendRejected
from tessy.types import Chunk, Finish, Request, Span, TokenLogprob, Turn
from tessy_openai.answering import AnswerCheck
from tessy_openai.events import Delta, read_chat, read_completion
from tessy_openai.instruct import InstructReader, join_on
from tessy_openai.listed import ListedTokens
from tessy_openai.modes import FINISH
from tessy_openai.reading import ChatReader, MarkedText, Reader


def cut(text: str, places: Iterable[int]) -> list[str]:
    at = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in pairwise(at)]


def read(reader: Reader, deltas: list[Delta], reason: str | None = "stop") -> list[Chunk]:
    chunks: list[Chunk] = []
    for delta in deltas:
        chunks += reader.feed(delta)
        if reader.finished is not None:
            return chunks
    return chunks + reader.end(reason)


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


@pytest.mark.parametrize(
    ("marks", "fresh", "text", "kept", "finish"),
    [
        (["</think>"], True, "So 4.\n</think>\n\nFour.", "So 4.", "end_of_thinking"),
        (["</think>"], True, "So 4.\n</think>", "So 4.", "end_of_thinking"),
        (["</think>"], True, "So 4.\n</think> \n", "So 4.", "end_of_thinking"),
        (["</think>"], True, "</think>\n\nFour.", "", "end_of_thinking"),
        (["</think>"], False, "</think>\n\nFour.", "</think>\n\nFour.", "length"),
        (["</think>"], True, "the tag </think> ends\n", "the tag </think> ends\n", "length"),
        (["</think>"], True, "\n</think> is a tag", "\n</think> is a tag", "length"),
        (["</think>"], True, "a\n\n</think>\n", "a\n", "end_of_thinking"),
        (["<|end|>"], True, "So 4.<|end|><|start|>", "So 4.", "end_of_thinking"),
        (["<|end|>"], True, "So <|en", "So <|en", "length"),
        ([], True, "So\n</think>\n", "So\n</think>\n", "length"),
    ],
)
@given(places=st.lists(st.integers(0, 50)))
def test_marks(
    marks: list[str], fresh: bool, text: str, kept: str, finish: Finish, places: list[int]
) -> None:
    reader = MarkedText(marks, "end_of_thinking", fresh=fresh)
    chunks = [chunk for piece in cut(text, places) if (chunk := reader.feed(piece)) is not None]
    if reader.finished is None:
        chunks.append(reader.end("length"))
    assert (text_of(chunks), reader.finished) == (kept, finish)
    assert chunks[-1].finish == finish
    assert all(chunk.finish is None for chunk in chunks[:-1])


@given(places=st.lists(st.integers(0, 30)))
def test_a_mark_that_a_limit_splits_is_left_for_the_next_request(places: list[int]) -> None:
    kept = "So it is 4."
    for text in (f"{kept}\n</thi", f"{kept}\n", f"{kept}\n</think", kept):
        reader = MarkedText(["</think>"], "end_of_thinking", more=True)
        chunks = [chunk for piece in cut(text, places) if (chunk := reader.feed(piece)) is not None]
        chunks.append(reader.end("length"))
        assert (text_of(chunks), chunks[-1].finish) == (kept, "length")


def test_what_cannot_become_a_mark_is_given_at_once() -> None:
    reader = MarkedText(["</think>"], "end_of_thinking")
    for piece in ("Hmm", ", wait", ". <", "b"):
        chunk = reader.feed(piece)
        assert chunk is not None
        assert chunk.text == piece
    assert reader.feed("\n") is None
    assert (chunk := reader.feed("x")) is not None
    assert (chunk.text, chunk.tokens) == ("\nx", 2)


def chat(phase: str = "think", *, begun: bool = False, separates: bool | None = None) -> ChatReader:
    return ChatReader(phase, begun=begun, separates=separates, fresh=True, finish=FINISH)


def test_a_service_that_sends_the_thinking_apart() -> None:
    reader = chat()
    chunks = read(
        reader, [Delta(reasoning="Hmm"), Delta(reasoning=", 4."), Delta(text="Four"), Delta(text=".")]
    )
    assert text_of(chunks) == "Hmm, 4."
    assert (reader.finished, reader.left, reader.separates) == ("end_of_thinking", "Four", True)


@given(places=st.lists(st.integers(0, 50)))
@pytest.mark.parametrize(
    ("begun", "text", "thinking", "finish", "left"),
    [
        (False, "<think>\nHmm.\n</think>\n\nFour.", "Hmm.", "end_of_thinking", None),
        (False, "Four, of course.", "", "end_of_thinking", "Four, of course."),
        (True, ", wait. 4.\n</think>\n\nFour.", ", wait. 4.", "end_of_thinking", None),
        (True, ", wait.", ", wait.", "end_of_turn", None),
        (False, "<think>\nHmm.", "Hmm.", "end_of_turn", None),
    ],
)
def test_a_service_that_sends_all_as_content(
    begun: bool, text: str, thinking: str, finish: Finish, left: str | None, places: list[int]
) -> None:
    reader = chat(begun=begun)
    pieces = cut(text, places)
    chunks = read(reader, [Delta(text=piece) for piece in pieces])
    assert text_of(chunks) == thinking
    assert reader.finished == finish
    if left is not None:
        rest = "".join(pieces).removeprefix(reader.left)
        assert reader.left + rest == left


def test_content_after_a_begun_thinking_is_the_answer_where_the_service_separates() -> None:
    reader = chat(begun=True, separates=True)
    assert text_of(read(reader, [Delta(text="Four.")])) == ""
    assert (reader.finished, reader.left) == ("end_of_thinking", "Four.")


def test_an_answer_is_content_alone() -> None:
    reader = chat("answer")
    chunks = read(reader, [Delta(reasoning="again?"), Delta(text="Four"), Delta(text=".")], "length")
    assert text_of(chunks) == "Four."
    assert chunks[-1].finish == "length"


@given(places=st.lists(st.integers(0, 60)))
@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("So it is 4.\n</think>\n\nFour.", True),
        ("</think>\n\nFour.", True),
        ("So it is 4.\n</think>", True),
        ("The mark </think> ends it.\n`</think>`\nYes.", False),
        ("Write\n<think>\nHm.\n</think>\nFour.", False),
        ("Four.", False),
    ],
)
def test_the_end_of_a_thinking_in_an_answer(text: str, refused: bool, places: list[int]) -> None:
    for begun in (0, *places[:1]):
        before, rest = text[: begun % len(text)], text[begun % len(text) :]
        if before.endswith("</think>\n"):
            continue
        check = AnswerCheck("it", closed=True, opened=False, before=before)
        reader = ChatReader("answer", begun=False, separates=None, fresh=True, finish=FINISH, check=check)
        if refused and "</think>" not in before:
            with pytest.raises(BackendRejected, match="stands in the answer"):
                read(reader, [Delta(text=piece) for piece in cut(rest, places)])
        elif not refused:
            assert text_of(read(reader, [Delta(text=piece) for piece in cut(rest, places)])) == rest


def test_an_answer_after_a_thinking_may_hold_any_line() -> None:
    check = AnswerCheck("it", closed=False, opened=False)
    check.feed(Delta(reasoning="Hm."))
    check.feed(Delta(text="x\n</think>\n"))
    check = AnswerCheck("it", closed=True, opened=True)
    check.feed(Delta(text="x\n</think>\n"))
    check.end()


def test_a_reason_never_heard_of_is_an_abort() -> None:
    assert read(chat("answer"), [Delta(text="F")], "content_filter")[-1].finish == "aborted"


@pytest.mark.parametrize(
    ("before", "reply", "joined"),
    [
        ("So the sum is 12.", " That is it.", " That is it."),
        ("So the sum is 12.", "That is it.", " That is it."),
        ("So the sum is 12.\n\n", "\nThat is it.", "That is it."),
        ("Hmm, wait. The sum is", "The sum is 12.", " The sum is 12."),
        ("Hmm, wait. The sum of both is", "The sum of both is 12.", " 12."),
        ("Hmm, wait. The sum of both is", "Hmm, wait. The sum of both is 12.", " 12."),
        ("It is x", ", not y.", ", not y."),
        ("", "Okay.", "Okay."),
    ],
)
def test_a_reply_is_joined_on(before: str, reply: str, joined: str) -> None:
    assert join_on(before, reply) == joined


def instruct(phase: str, text: str) -> InstructReader:
    span = Span("student", phase, text, 0, 1)  # type: ignore[arg-type]
    return InstructReader(Request(Turn("teacher", phase), (span,), 1, closed=phase == "answer"), FINISH)  # type: ignore[arg-type]


@given(places=st.lists(st.integers(0, 80)))
def test_instructed_spans_are_marked_and_trimmed(places: list[int]) -> None:
    reader = instruct("think", "Okay. The sum of both is")
    reply = "The sum of both is 12, so we are done.\n</think>\nThe answer"
    chunks = read(reader, [Delta(text=piece) for piece in cut(reply, places)])
    assert text_of(chunks) == " 12, so we are done."
    assert chunks[-1].finish == "end_of_thinking"
    assert all(chunk.via == "instructed" for chunk in chunks)


def test_an_instructed_reply_that_ends_does_not_end_the_reasoning() -> None:
    assert read(instruct("think", "So"), [Delta(text=" it is 12.")])[-1].finish == "length"
    assert read(instruct("answer", "So"), [Delta(text=" it is 12.")])[-1].finish == "end_of_turn"


def test_a_log_probability_without_alternatives_was_never_computed() -> None:
    entry = {"id": CODEC.encode("a")[0], "token": "a", "logprob": 0.0, "top_logprobs": []}
    delta = read_completion({"choices": [{"text": "a", "logprobs": {"content": [entry]}}]}, 2)
    with pytest.raises(BackendRejected, match="switch speculative decoding off"):
        ListedTokens("it", CODEC).read(delta)


def test_text_that_is_held_back_is_read_with_what_follows() -> None:
    """As the server does for what may begin a stop string."""
    (a, b), listed = CODEC.encode("a b"), ListedTokens("it", CODEC)
    best = (TokenLogprob(-0.5, None, (("a", -0.5),)),)
    assert listed.read(Delta("", ids=(a,), logprobs=best, listed=True))[0] == ()
    assert listed.read(Delta("a b", ids=(b,), logprobs=best, listed=True)) == ([a, b], [*best, *best], True)


def test_events_of_both_apis() -> None:
    logprobs = {"token_logprobs": [-1.0], "top_logprobs": [{"b": -2.0, "a": -1.0, "c": -3.0}]}
    choice = {"text": "a", "token_ids": [1], "finish_reason": None, "logprobs": logprobs}
    delta = read_completion({"choices": [choice]}, 2)
    assert (delta.text, delta.ids) == ("a", (1,))
    assert delta.logprobs is not None
    assert delta.logprobs[0].top == (("a", -1.0), ("b", -2.0))
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}
    delta = read_chat({"choices": [], "usage": usage})
    assert (delta.prompt, delta.generated, delta.cached) == (9, 3, 4)
    for field in ("reasoning", "reasoning_content"):
        assert read_chat({"choices": [{"delta": {field: "t", "content": None}}]}).reasoning == "t"
    chunks = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
        {"type": "text", "text": "a"},
    ]
    delta = read_chat({"choices": [{"delta": {"content": chunks}, "finish_reason": "stop"}]})
    assert (delta.reasoning, delta.text, delta.finish) == ("t", "a", "stop")
