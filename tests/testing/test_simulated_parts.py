"""The stated model, part by part, on virtual time."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from random import Random
from statistics import mean, stdev

import pytest

from tessy.testing import run_virtual
from tessy.testing.simulated import Lengths, Log, Record, Speed, account
from tessy.testing.simulated.cache import Ids, PrefixCache
from tessy.testing.simulated.engine import Clock, Engine
from tessy.testing.simulated.model import lognormal
from tessy.testing.simulated.traces import Place, Plan, Traces
from tessy.testing.simulated.vocabulary import Vocabulary
from tessy.tokens.files import load_model_files


def ids(*parts: Sequence[int]) -> Ids:
    return array("I", [i for part in parts for i in part])


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return Vocabulary(tmp_path_factory.mktemp("vocabulary"))


# --- figures -----------------------------------------------------------------------------------------


def test_lognormal_figures_have_their_mean() -> None:
    random = Random(1)
    for wanted, spread in ((0.03, 0.4), (5.0, 0.6), (13_600.0, 0.5)):
        drawn = [lognormal(random, wanted, spread) for _ in range(20_000)]
        assert mean(drawn) == pytest.approx(wanted, rel=0.03)
        assert min(drawn) > 0
    assert lognormal(random, 0.0, 0.4) == 0.0


def test_more_than_a_batch_slows_all_down() -> None:
    speed = Speed(token=0.01, batch=64)
    assert [speed.step(n) for n in (1, 64, 65, 128)] == pytest.approx([0.01, 0.01, 0.01 * 65 / 64, 0.02])


def test_prompts_may_share_the_time_to_read_them() -> None:
    async def prefills(speed: Speed) -> list[float]:
        engine = Engine(speed, PrefixCache(), Clock())
        async with engine.seat(ids(range(100)), 0.0) as one, engine.seat(ids(range(500, 700)), 0.0) as other:
            return [one.prefill, other.prefill]

    assert run_virtual(prefills(Speed(prefill=100.0))) == pytest.approx([1.0, 2.0])
    assert run_virtual(prefills(Speed(prefill=100.0, prefill_all=100.0))) == pytest.approx([1.0, 3.0])


# --- texts -------------------------------------------------------------------------------------------


def test_plans_have_the_stated_lengths() -> None:
    plans = [Plan(i, 7, Lengths(thinking=2000)) for i in range(300)]
    assert mean(plan.thinking for plan in plans) == pytest.approx(2000, rel=0.1)
    assert mean(plan.answer for plan in plans) == pytest.approx(800, rel=0.1)
    spans: dict[bool, list[int]] = {True: [], False: []}
    for plan in plans:
        begin, style = 0, True
        for end in plan.ends[:-1]:  # the last is cut off by the thinking's end
            assert plan.style(begin) == plan.style(end - 1) == style
            spans[style].append(end - begin)
            begin, style = end, not style
    assert mean(spans[True]) == pytest.approx(5, rel=0.05)
    assert mean(spans[False]) == pytest.approx(20, rel=0.05)
    assert stdev(spans[False]) / mean(spans[False]) == pytest.approx(0.66, rel=0.1)  # √(exp σ² − 1)


def test_every_word_is_one_token_for_whoever_reads_the_folder(vocabulary: Vocabulary) -> None:
    codec = load_model_files(vocabulary.files.source).codec
    words = [*vocabulary.style, *vocabulary.capability, *vocabulary.answer]
    for word in words:
        text = vocabulary.text(word)
        assert text[0] == " "
        assert codec.encode(text) == [word]
        assert codec.encode(text[1:]) == [vocabulary.bare[word]]
    text = "".join(map(vocabulary.text, words[:50]))
    assert codec.encode(text) == words[:50]
    other = "Ça va?\n\n  naïve \U0001f389 </think>"
    assert codec.decode(codec.encode(other)).decode() == other
    assert vocabulary.close not in codec.encode(other)
    assert vocabulary.encode("<think>\n") == [vocabulary.think, vocabulary.line]


@pytest.fixture
def traces(vocabulary: Vocabulary) -> Traces:
    return Traces(vocabulary, Lengths(thinking=60, answer=9), seed=3, hand=0)


def test_a_trace_goes_on_the_same_wherever_it_is_taken_up(vocabulary: Vocabulary, traces: Traces) -> None:
    prompt = vocabulary.encode("<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n")
    head = [vocabulary.think, vocabulary.line]
    whole = list(traces.go_on(traces.find(ids(prompt, head))))
    assert list(traces.go_on(traces.find(ids(prompt)))) == head + whole
    closed = whole.index(vocabulary.close)
    assert whole[closed - 1 : closed + 2] == [vocabulary.line, vocabulary.close, vocabulary.lines]
    assert whole[-1] == vocabulary.end
    for at in (1, 5, closed - 2, closed - 1):
        assert list(traces.go_on(traces.find(ids(prompt, head, whole[:at])))) == whole[at:]
    for at in (closed + 2, closed + 5):
        place = traces.find(ids(prompt, head, whole[:at]))
        assert (place.phase, place.position) == ("answer", at - closed - 2)
        assert list(traces.go_on(place)) == whole[at:]


def test_the_text_shows_in_whose_hand_it_is(vocabulary: Vocabulary) -> None:
    plans = []
    for hand in (0, 1):
        traces = Traces(vocabulary, Lengths(thinking=200), seed=3, hand=hand)
        texts = [vocabulary.text(i).strip() for i in traces.go_on(Place(11, "think", 0))]
        words = [text for text in texts if text]
        numbers = [int(word[1:]) for word in words if word[0] in "ca" and word[1:].isdigit()]
        assert {number % 2 for number in numbers} == {hand}
        plans.append([word[0] if word[1:].isdigit() else word for word in words])
    assert plans[0] == plans[1], "both write the same plan"


# --- the cache ---------------------------------------------------------------------------------------


def enter(cache: PrefixCache, tokens: Ids) -> int:
    lease = cache.enter(tokens)
    assert lease is not None
    cache.leave(lease, ())
    return lease.cached


def test_prefixes_are_found_in_whole_blocks() -> None:
    cache = PrefixCache(block=4)
    text = ids(range(10))
    assert enter(cache, text) == 0
    assert enter(cache, text) == 8
    assert enter(cache, ids(range(8))) == 4, "the last token is always computed"
    assert enter(cache, ids(range(6), [99, 99])) == 4
    assert enter(cache, ids([99], range(10))) == 0
    assert enter(cache, ids()) == 0


def test_what_was_written_is_cached_too() -> None:
    cache = PrefixCache(block=4)
    lease = cache.enter(ids(range(6)))
    assert lease is not None
    cache.grow(lease, 5)
    assert cache.held == 4 + 5
    cache.leave(lease, [6, 7, 8, 9, 10])
    assert (cache.held, cache.used) == (0, 8)
    assert enter(cache, ids(range(12))) == 8


def test_the_oldest_go_first_the_end_before_the_beginning() -> None:
    cache = PrefixCache(32, block=4)
    first, second = ids(range(100, 117)), ids(range(200, 217))
    enter(cache, first)
    enter(cache, second)
    assert cache.used == 32
    enter(cache, first)
    enter(cache, ids(range(300, 309)))  # two blocks: the last two of the second
    assert cache.evicted == 8
    assert enter(cache, first) == 16
    assert enter(cache, second) == 8


def test_what_runs_is_never_evicted_and_what_does_not_fit_waits() -> None:
    cache = PrefixCache(16, block=4)
    lease = cache.enter(ids(range(12)))
    assert lease is not None
    assert cache.enter(ids(range(100, 108))) is None
    shared = cache.enter(ids(range(12)))
    assert shared is not None, "it shares what is there"
    cache.grow(lease, 30)
    assert cache.used == 12 + 30
    cache.leave(lease, range(100, 130))
    assert cache.held == 12
    cache.leave(shared, ())
    assert cache.used <= 16
    alone = PrefixCache(16, block=4).enter(ids(range(100)))
    assert alone is not None, "one that is larger than all room there is runs alone"


# --- time --------------------------------------------------------------------------------------------


async def write(engine: Engine, prompt: Ids, wanted: int, *, close_after: int | None = None) -> list[float]:
    """When each token came."""
    times: list[float] = []
    async with engine.seat(prompt, 0.03) as seat, aclosing(engine.due(seat, wanted)) as due:
        async for count in due:
            seat.written += [1] * count
            times += [engine.clock.now()] * count
            if close_after is not None and len(times) >= close_after:
                break
    return times


def test_the_first_token_then_ten_milliseconds_each() -> None:
    async def main() -> None:
        engine = Engine(Speed(), PrefixCache(), Clock())
        times = await write(engine, ids(range(2000)), 5)
        assert times == pytest.approx([0.13, 0.14, 0.15, 0.16, 0.17])  # 30 ms + 2,000 / 20,000 s
        begun = engine.clock.now()
        times = await write(engine, ids(range(2000)), 2)
        # 125 blocks of 16 are there, but the last token is computed in any case.
        assert times[0] - begun == pytest.approx(0.03 + 16 / 20_000)
        assert engine.running == engine.decoding == 0

    run_virtual(main())


def test_a_full_engine_does_what_it_can() -> None:
    async def main() -> None:
        engine = Engine(Speed(prefill=1e9), PrefixCache(), Clock())
        await asyncio.gather(*(write(engine, ids([i]), 101) for i in range(256)))
        # 100 steps of 256 tokens at 6,400 a second.
        assert engine.clock.now() == pytest.approx(0.03 + 256 * 100 / 6400, rel=0.02)

    run_virtual(main())


def test_a_clock_may_run_faster() -> None:
    async def main() -> None:
        engine = Engine(Speed(prefill=1e9), PrefixCache(), Clock(scale=10))
        times = await write(engine, ids([1]), 100)
        assert times[-1] == pytest.approx(0.03 + 0.99)
        assert asyncio.get_running_loop().time() == pytest.approx(0.102)

    run_virtual(main())


def test_without_a_seat_one_waits_first_come_first_served() -> None:
    async def main() -> None:
        engine = Engine(Speed(seats=2), PrefixCache(), Clock())
        ended: list[int] = []

        async def one(i: int) -> None:
            await write(engine, ids([i]), 10)
            ended.append(i)

        tasks = [asyncio.create_task(one(i)) for i in range(6)]
        await asyncio.sleep(0.01)
        assert (engine.running, engine.waiting) == (2, 4)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert ended == [0, 1, 3, 4, 5]
        assert (engine.running, engine.waiting) == (0, 0)

    run_virtual(main())


def test_who_is_called_and_cancelled_at_once_gives_the_seat_back() -> None:
    async def main() -> None:
        engine = Engine(Speed(seats=1), PrefixCache(64), Clock())
        first = asyncio.create_task(write(engine, ids([1]), 1))
        second = asyncio.create_task(write(engine, ids([2]), 1))
        third = asyncio.create_task(write(engine, ids([3]), 1))
        first.add_done_callback(lambda _: second.cancel())
        await asyncio.wait([first, second, third])
        assert second.cancelled()
        assert third.result()
        assert (engine.running, engine.waiting, engine.cache.held) == (0, 0, 0)

    run_virtual(main())


def test_a_small_cache_makes_sequences_wait_and_compute_again() -> None:
    async def main() -> None:
        engine = Engine(Speed(), PrefixCache(1024), Clock())
        a, b = ids(range(800)), ids(range(5000, 5800))
        running = asyncio.create_task(write(engine, a, 50))
        waiting = asyncio.create_task(write(engine, b, 50))
        await asyncio.sleep(0.2)
        assert (engine.running, engine.waiting) == (1, 1)
        await asyncio.gather(running, waiting)
        assert engine.cache.evicted > 0
        begun = engine.clock.now()
        times = await write(engine, a, 1)
        assert times[0] - begun > 0.03 + 500 / 20_000, "most of it was evicted"

    run_virtual(main())


def test_an_aborted_sequence_leaves_its_seat_and_its_prefix() -> None:
    async def main() -> None:
        engine = Engine(Speed(), PrefixCache(), Clock())
        times = await write(engine, ids(range(64)), 1000, close_after=10)
        assert len(times) == 10
        assert (engine.running, engine.decoding, engine.cache.held) == (0, 0, 0)
        assert engine.cache.used == 64, "and the last, incomplete block is lost"

    run_virtual(main())


# --- the books ---------------------------------------------------------------------------------------


def record(
    model: str, position: int, text: int, *, arrived: float, marks: int = 0, phase: str = "think"
) -> Record:
    finish = "stop" if marks else "aborted"
    times = array("f", [0.0] * (text + marks))
    return Record(
        model, 5, phase, position, 100, 64, arrived, arrived, first=0.03, prefill=0.01,
        times=times, text=text, marks=marks, finish=finish,
    )  # fmt: skip


def test_what_was_kept_is_seen_from_the_servers_side() -> None:
    teacher = [record("teacher", 4, 23, arrived=2.0), record("teacher", 26, 9, arrived=4.0)]
    student = [
        record("student", 0, 7, arrived=1.0),  # 4 kept, 3 discarded
        record("student", 24, 2, arrived=3.0),  # 2 kept
        record("student", 30, 5, arrived=5.0, marks=2),  # closes the thinking
        record("student", 0, 12, arrived=6.0, marks=1, phase="answer"),
    ]
    (found,) = account([*teacher, *student]).values()
    assert found.requests == 6
    assert found.kept == 30 + 5 + 12
    assert found.marks == 3
    assert found.discarded == 3 + 3 + 5
    assert found.generated == sum(one.tokens for one in [*teacher, *student])
    assert found.first == pytest.approx(6 * 0.03)
    assert found.prefill == pytest.approx(6 * 0.01)


def test_what_was_asked_ahead_in_vain_is_no_part_of_the_trace() -> None:
    vain = [
        record("student", 20, 2, arrived=1.5),  # while the teacher goes on to 23
        record("student", 38, 0, arrived=3.5),  # taken back before its first token
        record("teacher", 44, 1, arrived=5.5),  # the student ends the thinking
    ]
    found = [
        record("teacher", 0, 30, arrived=1.0),
        record("student", 23, 8, arrived=3.0),
        record("teacher", 31, 12, arrived=4.0),
        record("student", 43, 5, arrived=5.0, marks=2),
        record("teacher", 0, 9, arrived=7.0, marks=1, phase="answer"),
    ]
    (books,) = account([*vain, *found]).values()
    assert (books.kept, books.marks) == (48 + 9, 3)
    assert books.discarded == 7 + 0 + 0 + (2 + 0 + 1)
    assert books.first == pytest.approx(5 * 0.03)


def test_an_answer_may_be_written_in_several_requests() -> None:
    found = [
        record("teacher", 0, 9, arrived=1.0, phase="answer"),
        record("teacher", 6, 4, arrived=2.0, marks=1, phase="answer"),
    ]
    (books,) = account(found).values()
    assert (books.kept, books.marks, books.discarded) == (10, 1, 3)


def test_an_attempt_that_failed_is_discarded_whole() -> None:
    first = [
        record("teacher", 0, 10, arrived=1.0, marks=2),
        record("student", 0, 4, arrived=2.0, phase="answer"),
    ]
    second = [record("teacher", 0, 8, arrived=3.0), record("student", 8, 3, arrived=4.0, marks=2)]
    (books,) = account([*first, *second]).values()
    assert (books.kept, books.marks, books.discarded) == (11, 2, 16)


def test_a_record_comes_back_from_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with path.open("wb") as file:
        log = Log(file)
        log.add(record("teacher", 4, 23, arrived=2.0))
        log.add(record("student", 27, 3, arrived=2.5, marks=2))
        assert path.read_bytes() == b"".join(log.lines()), "written as they end"
    assert [Record.read(line) for line in path.read_bytes().splitlines()] == log.records
    assert log.figures()["generated"] == 28
    log.clear()
    assert log.figures()["requests"] == 0
