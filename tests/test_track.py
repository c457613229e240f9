"""Labels are a function of the text, however it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection_parts import Hashing, Odd, detection, runs, texts, write
from tessy.draft import Draft
from tessy.types import Chunk, Label, Span, Turn, Window


@settings(deadline=None, max_examples=60)
@given(texts, texts, st.data())
def test_labels_do_not_depend_on_chunks(before: str, text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))

    async def both() -> tuple[Draft, Draft]:
        drafts = []
        for some in ([], cuts):
            track = detection(Hashing()).track("t")
            track.commit(before)
            drafts.append(await write(track, text, some))
        return drafts[0], drafts[1]

    whole, pieces = asyncio.run(both())
    assert whole.labels == pieces.labels
    assert whole.settled == len(text) == len(runs(whole))


@settings(deadline=None, max_examples=60)
@given(texts, texts, st.data())
def test_a_dropped_draft_leaves_no_trace(before: str, text: str, data: st.DataObject) -> None:
    dropped = data.draw(texts)
    kept = data.draw(st.integers(0, len(dropped)))

    async def both() -> tuple[Draft, Draft]:
        straight = detection(Hashing()).track("t")
        straight.commit(before + dropped[:kept])
        other = detection(Hashing()).track("t")
        other.commit(before)
        await write(other, dropped, [])
        other.commit(dropped[:kept])
        return await write(straight, text, []), await write(other, text, [])

    first, second = asyncio.run(both())
    assert first.labels == second.labels


@pytest.mark.parametrize("kept", range(505, 520))
async def test_a_block_that_began_in_dropped_text_is_found_anew(kept: int) -> None:
    dropped, text = "x" * 514 + " dropped words " * 100, "yy zz " * 300
    other, straight = detection(Hashing()).track("t"), detection(Hashing()).track("t")
    await write(other, dropped, [])
    other.commit(dropped[:kept])
    straight.commit(dropped[:kept])
    assert (await write(other, text, [])).labels == (await write(straight, text, [])).labels


@settings(deadline=None, max_examples=40)
@given(texts, texts, st.data())
def test_a_draft_goes_on_after_a_checkpoint(before: str, text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))

    async def both() -> tuple[Draft, Draft, Draft]:
        live = detection(Hashing()).track("t")
        live.commit(before)
        draft = Draft(Turn("teacher"))
        draft.extend(Chunk(text[:at]))
        await live.extend(draft)
        span = draft.span(draft.settled, 0, labels=True)
        draft.commit(draft.settled)
        live.commit(span.text)
        draft.extend(Chunk(text[at:], finish="stop"))
        await live.extend(draft)

        resumed = detection(Hashing()).track("t")
        resumed.commit(before + span.text)
        again = await write(
            resumed, text[len(span.text) :], [], Draft(Turn("teacher"), [span] if span.text else [])
        )

        whole = detection(Hashing()).track("t")
        whole.commit(before)
        return draft, again, await write(whole, text, [])

    live, resumed, whole = asyncio.run(both())
    assert runs(live) == runs(resumed) == runs(whole)
    assert live.settled == resumed.settled == len(text)


async def test_labels_are_in_draft_characters() -> None:
    def first_is_style(windows: Sequence[Window]) -> list[list[Label]]:
        return [
            [Label(w.new_from, w.new_from + 4, True, 0.75), Label(w.new_from + 4, len(w.text), False)]
            for w in windows
        ]

    track = detection(Odd(first_is_style)).track("t")
    track.commit("committed before. ")
    draft = await write(track, "Wait x is 2", [])
    assert draft.labels == [Label(0, 4, True, 0.75), Label(4, 11, False)]


async def test_work_does_not_grow_with_the_trace() -> None:
    detector = Hashing()
    track = detection(detector).track("t")
    for _ in range(100):
        text = "some more words. " * 20
        await write(track, text, list(range(0, len(text), 5)))
        track.commit(text)
    lengths = [len(w.text) for batch in detector.batches for w in batch]
    left = [w.new_from for batch in detector.batches for w in batch if w.anchor]
    assert max(lengths) < 2300
    assert min(left) >= 1024 - 64
    assert track.position == 100 * 340


async def test_much_text_at_once_is_labelled_in_short_windows() -> None:
    detector = Hashing()
    track = detection(detector).track("t")
    draft = await write(track, "some more words. " * 2000, [])
    assert draft.settled == len(draft)
    assert max(len(w.text) for batch in detector.batches for w in batch) < 2300


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 3000), st.integers(1, 4000), st.sampled_from("x\u00a0等"), st.data())
def test_a_word_without_end_makes_no_endless_windows(
    before: int, length: int, char: str, data: st.DataObject
) -> None:
    text = "so " * (before // 3) + char * length + " and more " * 30
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=30))

    async def both() -> tuple[Draft, Draft, Hashing]:
        detector = Hashing()
        whole = await write(detection(detector).track("t"), text, [])
        return whole, await write(detection(detector).track("t"), text, cuts), detector

    whole, pieces, detector = asyncio.run(both())
    assert whole.labels == pieces.labels
    assert whole.settled == len(text)
    assert max(len(w.text) for batch in detector.batches for w in batch) < 2400


async def test_what_a_draft_has_settled_is_let_go() -> None:
    track = detection(Hashing()).track("t")
    track.commit("before that " * 100)
    draft = Draft(Turn("teacher"))
    for n in range(2000):
        draft.extend(Chunk(f"word{n} and "))
        await track.extend(draft)
        assert len(track._blocks.text) < 2400
    track.commit(draft.text[:9000])
    other = Draft(Turn("student"))
    other.extend(Chunk(" another one altogether", finish="stop"))
    await track.extend(other)
    straight = detection(Hashing()).track("t")
    straight.commit("before that " * 100 + draft.text[:9000])
    assert (await write(straight, other.text, [])).labels == other.labels


async def test_nothing_new_asks_nothing() -> None:
    detector = Hashing()
    track = detection(detector).track("t")
    draft = Draft(Turn("teacher"))
    draft.extend(Chunk(""))
    await track.extend(draft)
    assert detector.batches == []
    draft.extend(Chunk("", finish="end_of_thinking"))
    await track.extend(draft)
    assert draft.labels == []


class Words(Hashing):
    """Decides about whole words."""

    by_words = True


@settings(deadline=None, max_examples=60)
@given(texts, st.data())
def test_a_detector_of_words_says_the_same_in_fewer_calls(text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=30))

    async def both() -> tuple[Draft, Draft, int, int]:
        every, few = Hashing(), Words()
        drafts = [await write(detection(one).track("t"), text, cuts) for one in (every, few)]
        return drafts[0], drafts[1], len(every.batches), len(few.batches)

    straight, draft, all_calls, calls = asyncio.run(both())
    assert (draft.labels, draft.settled) == (straight.labels, straight.settled)
    assert calls <= all_calls


async def test_a_word_in_pieces_is_asked_about_once() -> None:
    detector = Words()
    track = detection(detector).track("t")
    draft = Draft(Turn("teacher"))
    for piece in ("So", " un", "believ", "ab", "ly", " far", "x" * 40, "y" * 40, "é", "."):
        draft.extend(Chunk(piece))
        await track.extend(draft)
    asked = [window.text[-1] for (window,) in detector.batches]
    assert asked == ["n", "r", "y", "é", "."], "nor where a word begins the text; 64 characters are enough"


async def test_the_end_of_a_draft_settles_it() -> None:
    track = detection(Hashing()).track("t")
    draft = Draft(Turn("teacher"))
    draft.extend(Chunk("all of this"))
    await track.extend(draft)
    assert draft.settled < len(draft)
    draft.extend(Chunk("", finish="end_of_thinking"))
    await track.extend(draft)
    assert draft.settled == len(draft)


async def test_a_closed_track_is_forgotten() -> None:
    detector = Hashing()
    detection(detector).track("t").close()
    assert detector.forgotten == ["t"]


def test_a_begun_draft_keeps_its_labels() -> None:
    span = Span("teacher", "think", "so x", 0, 2, labels=(Label(0, 2, True), Label(2, 4, False)))
    assert Draft(Turn("teacher"), [span]).settled == 4
