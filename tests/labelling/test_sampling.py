from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from helpers import crew, plan, rows, write_prompts
from tessy.execution import execute
from tessy.labelling.learning import nested, split
from tessy.labelling.sampling import cut, sampled, thinking_plan
from tessy.labelling.segments import Segment
from tessy.limits import Limits
from tessy.observer import Observer
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import StudentOnly
from tessy.testing import ScriptedBackend


async def test_segments_are_one_models_thinking_without_the_answer(tmp_path: Path) -> None:
    made = crew(StudentOnly(IsolationOptions()), think=50)
    whole = plan(tmp_path / "x", write_prompts(tmp_path / "p.jsonl", 5), made)
    folder = tmp_path / "student"
    await execute(thinking_plan(whole, "student", folder), Observer())
    segments = sampled(folder, "student", model="m", words=20)
    assert {(one.author, one.model) for one in segments} == {("student", "m")}
    assert all(len(one.text.split()) <= 20 for one in segments)
    for row in rows(folder):
        text = " ".join(one.text for one in segments if one.id.startswith(f"{row['id']}/"))
        assert {span["phase"] for span in row["tessy"]["spans"]} == {"think"}
        content = row["messages"][-1]["content"]
        assert text.split() == content.split()[1 : len(text.split()) + 1], "verbatim, in order"
    some = sampled(folder, "student", model="m", words=20, limit=4, seed=1)
    assert len(some) == 4
    assert some == [one for one in segments if one in some]
    assert some == sampled(folder, "student", model="m", words=20, limit=4, seed=1)
    assert some != sampled(folder, "student", model="m", words=20, limit=4, seed=2)


async def test_a_trace_that_reaches_the_limit_or_breaks_off_counts_too(tmp_path: Path) -> None:
    for ends, name in (("thinking", "long"), ("turn", "broken")):
        made = crew(StudentOnly(IsolationOptions()), student=ScriptedBackend("s"), think=60, ends=ends)
        prompts = write_prompts(tmp_path / f"{name}.jsonl", 2)
        whole = plan(tmp_path / "x", prompts, made, limits=Limits(max_length=30))
        folder = tmp_path / name
        await execute(thinking_plan(whole, "student", folder), Observer())
        assert len(sampled(folder, "student", model="m", words=30)) == 2


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        (" \n ", []),
        ("a b", ["a b"]),
        (" a b  c\nd e f ", ["a b  c", "d e f"]),
        ("a b c d e f g", ["a b c", "d e f", "g"]),
        ("我们看看这个", ["我们看", "看这个"]),
        ("see x=1 我们 ok", ["see x=1 我", "们 ok"]),
    ],
)
def test_cutting_is_verbatim(text: str, pieces: list[str]) -> None:
    assert list(cut(text, 3)) == pieces


def test_a_short_rest_is_left_out() -> None:
    assert [len(piece.split()) for piece in cut("w " * 130, 60)] == [60, 60]
    assert [len(piece.split()) for piece in cut("w " * 140, 60)] == [60, 60, 20]


def test_splits_follow_from_ids_and_parts_are_nested() -> None:
    segments = [Segment(str(i), "x") for i in range(100)]
    learn, held = split(segments, 0.05)
    assert (len(learn), len(held)) == (95, 5)
    assert split(segments[::-1], 0.05) == (learn, held)
    assert split(segments, 0)[1] == []
    assert [len(part) for part in split(segments[:2], 0.05)] == [1, 1]
    parts = nested(segments, 4)
    assert [len(part) for part in parts] == [12, 25, 50, 100]
    assert all(small == large[: len(small)] for small, large in pairwise(parts))
