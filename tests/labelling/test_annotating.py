from __future__ import annotations

import asyncio
import json
import os
import resource
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tessy.abc import Session
from tessy.boundary import Origin
from tessy.errors import (
    BackendDown,
    BackendError,
    BackendRejected,
    BackendUnavailable,
    ConfigError,
    DataError,
)
from tessy.labelling import Segment, read_segments, write_segments
from tessy.labelling.annotating import Annotation, Annotator, annotate
from tessy.labelling.instructions import MARK
from tessy.labelling.store import AnnotationStore, dropped_path
from tessy.testing import ScriptedBackend
from tessy.types import Chunk, Finish, Prompt, Request

SEGMENTS = [Segment(f"s{i}", f"Hmm, number {i}. So x = {i}.", author="student") for i in range(9)]


class Model:
    """Answers by rule, and counts how often it was asked about a text."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.errors: list[Exception] = []
        self.answer = '["Hmm,", "So"]'

    def __call__(self, prompt: Prompt, request: Request) -> tuple[str, Finish]:
        self.asked.append(prompt.messages[-1].content.rpartition(MARK)[2])
        if self.errors:
            raise self.errors.pop()
        return self.answer, "end_of_turn"

    @property
    def annotator(self) -> Annotator:
        return Annotator(ScriptedBackend(script=self), Origin("backend", "scripted"))


async def run(model: Model, path: Path, segments: list[Segment] = SEGMENTS, **options: bool) -> Annotation:
    with AnnotationStore(path, segments, **options) as store:
        return await annotate(model.annotator, segments, store, concurrency=4)


async def test_all_are_annotated_in_order(tmp_path: Path) -> None:
    model, path = Model(), tmp_path / "new" / "l.jsonl"
    state = await run(model, path)
    assert (state.kept, state.keep_rate, state.usage.requests) == (9, 1.0, 9)
    found = read_segments(path)
    assert [one.id for one in found] == [one.id for one in SEGMENTS]
    assert {tuple(one.text[a:b] for a, b in one.spans) for one in found} == {("Hmm,", "So")}
    assert not dropped_path(path).exists()


async def test_a_kill_costs_at_most_the_line_in_writing(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    await run(Model(), path)
    whole = path.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        model = Model()
        state = await run(model, path)
        assert path.read_bytes() == whole
        assert len(model.asked) == 9 - whole[:size].count(b"\n")
        assert state.kept == 9


async def test_cancelled_it_keeps_what_it_has(tmp_path: Path) -> None:
    path, model = tmp_path / "l.jsonl", Model()

    def stop(state: Annotation) -> None:
        if state.kept == 3:
            task.cancel()

    async def work() -> None:
        with AnnotationStore(path, SEGMENTS) as store:
            await annotate(model.annotator, SEGMENTS, store, concurrency=1, progress=stop)

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert path.read_bytes().count(b"\n") == 3
    again = Model()
    await run(again, path)
    assert len(again.asked) == 6


async def test_an_unusable_answer_is_asked_for_again_then_dropped(tmp_path: Path) -> None:
    path, model = tmp_path / "l.jsonl", Model()
    model.answer = "No."
    state = await run(model, path, SEGMENTS[:2])
    assert (state.kept, dict(state.dropped), len(model.asked)) == (0, {"no_array": 2}, 4)
    assert not path.exists()
    lines = [json.loads(line) for line in dropped_path(path).read_text().splitlines()]
    assert lines == [{"id": f"s{i}", "reason": "no_array", "answer": "No."} for i in range(2)]
    assert dict((await run(Model(), path, SEGMENTS[:2])).dropped) == {"no_array": 2}
    assert (await run(Model(), path, SEGMENTS[:2], again=True)).kept == 2
    assert not dropped_path(path).exists()


async def test_busy_is_tried_again_refused_is_dropped_and_down_ends_it(tmp_path: Path) -> None:
    model = Model()
    model.errors = [BackendUnavailable("busy")] * 3
    assert (await run(model, tmp_path / "a.jsonl", SEGMENTS[:1])).kept == 1
    model.errors = [BackendRejected("too long")]
    state = await run(model, tmp_path / "b.jsonl", SEGMENTS[:2])
    assert (state.kept, dict(state.dropped)) == (1, {"backend_rejected": 1})
    model.errors = [BackendError("it sent no text")]
    state = await run(model, tmp_path / "d.jsonl", SEGMENTS[:2])
    assert (state.kept, dict(state.dropped)) == (1, {"backend": 1})
    model.errors = [BackendUnavailable("gone")] * 99
    with pytest.raises(BackendDown, match="the same command goes on"):
        await run(model, tmp_path / "c.jsonl")


async def test_another_files_annotations_are_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    await run(Model(), path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"l\.jsonl:1: holds another segment"):
        await run(Model(), path, [Segment("s0", "another text")])
    path.write_text("{}\n")
    with pytest.raises(DataError, match="choose another -o"):
        await run(Model(), path)
    path.write_bytes(before)
    with (
        pytest.raises(ConfigError, match="cannot be written"),
        AnnotationStore(path / "below.jsonl", SEGMENTS),
    ):
        pass


@pytest.mark.parametrize(
    "content", [b"precious", b'{"id": "s0", "text": "no line break"}', b"{", b'{"id":"s0"']
)
async def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(content)
    if content in b'{"id":"s0"':  # may be the beginning of a line of ours
        assert (await run(Model(), path)).kept == 9
        return
    with pytest.raises(DataError, match="its last line is none that"):
        await run(Model(), path)
    assert path.read_bytes() == content


async def test_segments_without_spans_are_no_annotations(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    write_segments(path, SEGMENTS, labelled=False)
    with pytest.raises(DataError, match=r"l\.jsonl:1: not a line that"):
        await run(Model(), path)


async def test_one_process_at_a_time_writes_here(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    with AnnotationStore(path, SEGMENTS) as store:
        store.keep(SEGMENTS[0])
        with pytest.raises(ConfigError, match="another tessy process annotates into it"):
            await run(Model(), path)
        with AnnotationStore(tmp_path / "other.jsonl", SEGMENTS):
            pass
    assert path.read_bytes().count(b"\n") == 1
    assert (await run(Model(), path)).kept == 9
    assert os.listdir(tmp_path) == ["l.jsonl"]


async def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    path, model = tmp_path / "l.jsonl", Model()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        with pytest.raises(ConfigError, match=r"l\.jsonl: cannot be written: .*\n.*the same command goes on"):
            await run(model, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.stat().st_size == 300
    again = Model()
    assert (await run(again, path)).kept == 9
    assert 0 < len(again.asked) < 9
    assert [one.id for one in read_segments(path)] == [one.id for one in SEGMENTS]


async def test_an_answer_whose_stream_just_stops_is_not_taken_for_whole(tmp_path: Path) -> None:
    class Stopping(Session):
        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            yield Chunk('["Hmm,"] is what I would say of [')

    class Backend(ScriptedBackend):
        def session(self, prompt: Prompt, key: str) -> Session:
            return Stopping()

    annotator = Annotator(Backend(), Origin("backend", "stopping"))
    with AnnotationStore(tmp_path / "l.jsonl", SEGMENTS[:1]) as store:
        state = await annotate(annotator, SEGMENTS[:1], store)
    assert dict(state.dropped) == {"cut_off": 1}
