"""The benchmark of schedules: its bound by hand, its virtual time against real servers, its page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.schedule.bound import bound, chain
from bench.schedule.long import measure_long
from bench.schedule.measuring import Setting, measure_ours, measure_paper
from bench.schedule.memory import within
from bench.schedule.page import Results, write
from bench.schedule.traces import Part, Trace, traces
from bench.schedule.virtual import Steps, barrier, streaming
from tessy.testing.simulated import Lengths, Speed

SPEED = Speed(prefill=1000.0, token=0.01, batch=2)
LENGTHS = Lengths(thinking=40, answer=8)


def part(role: str, tokens: int, before: int, *, closes: bool = False, last: bool = False) -> Part:
    return Part(role, tokens, before, 0.03, closes or last, last)


TRACE = Trace(
    [
        part("student", 3, 0),
        part("teacher", 10, 3),
        part("student", 2, 10),
        part("teacher", 5, 2, closes=True),
        part("student", 4, 5, last=True),
    ]
)


def test_a_chain_by_hand() -> None:
    firsts, reads, steps = 5 * 0.03, (3 + 10 + 2 + 5) / 1000, (24 - 5) * 0.01
    assert chain(TRACE, SPEED, 0) == pytest.approx(firsts + reads + steps)
    assert chain(TRACE, SPEED, 2) == pytest.approx(firsts + reads + steps + 3 * 2 * 0.01)
    assert (TRACE.tokens, TRACE.switches) == (24, 4)


def test_a_bound_by_hand() -> None:
    found = bound([TRACE] * 8, SPEED, slots=4)
    assert found.chain == pytest.approx(chain(TRACE, SPEED, 0))
    assert found.capacity == pytest.approx(8 * 15 * 0.01 / 2), "the teacher's tokens, two a step"
    assert found.slots == pytest.approx(2 * found.chain)
    assert found.seconds == max(found.chain, found.capacity, found.slots)


def test_one_trace_alone_takes_its_chain() -> None:
    made = streaming([TRACE], SPEED, 1, lookahead=2)
    assert made.seconds == pytest.approx(chain(TRACE, SPEED, 2))
    assert (made.requests, made.discarded) == (5, 6)


def test_rounds_by_hand() -> None:
    made = barrier([TRACE], SPEED, 1, Steps(teacher=6, student=2))
    # Where a step ends with its part, the next one finds nothing to keep.
    assert made.rounds == made.requests == 8
    assert made.discarded == 1 + 2 + 2


@pytest.mark.parametrize("slots", [4, 16])
def test_no_schedule_undercuts_the_bound(slots: int) -> None:
    known = traces(range(1, 33), seed=1, lengths=LENGTHS, speed=SPEED)
    for lookahead in (0, 2):
        least = bound(known, SPEED, slots, lookahead).seconds
        assert streaming(known, SPEED, slots, lookahead=lookahead).seconds >= least
    assert barrier(known, SPEED, slots, Steps()).seconds > bound(known, SPEED, slots).seconds


def test_a_run_over_sockets_and_the_page(tmp_path: Path) -> None:
    setting = Setting(slots=8, prompts=2, lengths=LENGTHS, scale=0.5)
    ours = measure_ours(setting, 2)
    assert ours.requests <= 1.1 * ours.spans
    assert abs(ours.late) < 0.5, "what is thrown away is the lookahead, and no more"
    assert 0.98 < ours.ratio < 2.0
    assert 0.8 < ours.makespan / ours.ideal < 1.5
    paper = measure_paper(replace(setting, scale=1.0), Steps())
    assert paper.kept == pytest.approx(ours.kept, rel=0.01), "the same traces"
    assert paper.requests > 1.5 * ours.requests
    known = traces(range(1, 17), seed=0, lengths=LENGTHS, speed=Speed())
    assert paper.rounds == pytest.approx(barrier(known, Speed(), 8, Steps()).rounds, rel=0.5)
    results = Results(setting, [ours], [paper], [measure_long(setting, 2)])
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- make bench writes this -->\nold\n<!-- up to here -->\nafter\n")
    for _ in range(2):
        write(results, tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("| 8 |") == 3
    assert (tmp_path / "performance.svg").read_text().startswith("<svg")


def test_keeping_within_the_memory_reads_less_again() -> None:
    speed = Speed(prefill_all=2000.0)
    known = traces(range(24), seed=0, lengths=Lengths(thinking=200, answer=20), speed=speed)
    few, many, bounded = (
        within(known, speed, slots, 2000, bounded=auto, lookahead=2)
        for slots, auto in ((2, False), (24, False), (24, True))
    )
    assert few.written == many.written == bounded.written, "the same traces"
    assert few.hits > 0.95, "they fit"
    assert bounded.computed < many.computed / 2
    assert bounded.seconds < min(few.seconds, many.seconds)
    assert bounded.active < many.active
