"""What a hand-over costs, and what may make it cheaper: ``python bench_handover.py limits|ahead|alarms``.

``limits``: whole runs against simulated servers that stop a generation at once, late, or never, with and
without limits of the core's own. ``ahead``: a bare alternation in which the next model is asked when a cut is
seen, not when it is settled. ``alarms``: how often what detector ``boundary`` sees at once is no cut.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from tessy.abc import Session
from tessy.detectors.boundary.train import predict
from tessy.draft import Draft
from tessy.labelling.segments import read_segments
from tessy.labelling.words import word_labels, words
from tessy.testing.simulated import Record, account, simulated_servers
from tessy.types import Chunk, Prompt, Request, Span, Turn
from tessy_vllm.backend import VllmBackend
from tessy_vllm.options import VllmOptions

PAIR = ("teacher", "student")
OTHER = {"teacher": "student", "student": "teacher"}


def page(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return bytes(answer.read())


# --- limits -----------------------------------------------------------------------------------------


def limits(count: int, thinking: int) -> None:
    print("| stops after | limit | requests a span | discarded for 1,000 kept | makespan |")
    print("|---|---|---|---|---|")
    for linger in ("0", "0.5", "inf"):
        for limit in ("none", "adaptive"):
            with (
                TemporaryDirectory() as folder,
                simulated_servers(PAIR, thinking=thinking, answer=40, linger=linger) as urls,
            ):
                spans = _run(Path(folder), urls, limit, count)
                records = [Record.read(line) for u in urls.values() for line in page(f"{u}/log").splitlines()]
            books = account(records).values()
            kept = sum(one.kept for one in books)
            discarded = sum(one.discarded for one in books)
            seconds = max(r.arrived + r.times[-1] for r in records if r.times) - min(
                r.arrived for r in records
            )
            name = {"0": "at once", "inf": "never"}.get(linger, f"{linger} s")
            print(
                f"| {name} | {limit} | {len(records) / spans:.3f} | {1000 * discarded / kept:,.0f} "
                f"| {seconds:.1f} s |",
                flush=True,
            )


def _run(folder: Path, urls: Mapping[str, str], limit: str, count: int) -> int:
    """A whole run; how many spans it has."""
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"id": f"p{i}", "prompt": f"{i}?"}) + "\n" for i in range(count)))
    command = [sys.executable, "-m", "tessy", "run", str(prompts), "-o", str(folder / "run")]
    command += ["--detector", "lexicon"]
    for role, url in urls.items():
        command += [f"--{role}", f"vllm:{role}@{url}?limit={limit}"]
    subprocess.run(command, check=True, capture_output=True)
    rows = (folder / "run" / "data.jsonl").read_text().splitlines()
    return sum(len(json.loads(row)["tessy"]["spans"]) for row in rows)


# --- ahead ------------------------------------------------------------------------------------------


class Trace:
    """One trajectory: the models alternate where the other kind of word comes.

    Args:
        look: tokens that must follow a cut before it is settled.
        ahead: ask the next model when the cut is seen, and drop what it writes if it was none.
        alarms: share of the tokens at which a cut is seen that is none.
    """

    def __init__(self, sessions: Mapping[str, Session], *, look: int, ahead: bool, alarms: float, seed: int):
        self.sessions = sessions
        self.look, self.ahead, self.alarms = look, ahead, alarms
        self.random = random.Random(seed)
        self.spans: list[Span] = []
        self.turn = 0
        self.tokens = self.requests = 0

    async def write(self) -> None:
        role, asked = "student", None
        while True:
            stream = asked or self._ask(role)
            draft = Draft(Turn(role))
            at, asked = await self._read(stream, draft, role)
            span = draft.span(len(draft) if at is None else at, self.turn)
            self.tokens += span.tokens
            self.spans.append(span)
            self.turn += 1
            if at is None:
                return
            role = OTHER[role]

    async def _read(self, stream: Asked, draft: Draft, role: str) -> tuple[int | None, Asked | None]:
        """Where the draft is cut, and the next model's stream if it was asked."""
        seen, cut, next_, alarm = 0, None, None, None
        try:
            while True:
                chunk = await stream.next()
                draft.extend(chunk)
                for i in range(seen, len(draft.offsets)):
                    word = draft.text[draft.offsets[i] :].split(maxsplit=1)[:1]
                    style = bool(word) and not word[0][-1].isdigit()
                    if cut is None and i > 0 and word and style == (role == "teacher"):
                        cut = i
                    elif cut is None and alarm is None and self.ahead and self.random.random() < self.alarms:
                        alarm = i
                        next_ = self._ask(OTHER[role], draft.span(draft.offsets[i], self.turn))
                seen = len(draft.offsets)
                if alarm is not None and (seen > alarm + self.look or cut is not None):
                    alarm = await self._drop(next_)
                    next_ = None
                if draft.finish is not None:
                    await self._drop(next_)
                    return (None, None) if cut is None else (draft.offsets[cut], None)
                if cut is not None:
                    if self.ahead and next_ is None:
                        next_ = self._ask(OTHER[role], draft.span(draft.offsets[cut], self.turn))
                    if seen > cut + self.look:
                        return draft.offsets[cut], next_
        finally:
            await stream.close()

    def _ask(self, role: str, span: Span | None = None) -> Asked:
        self.requests += 1
        spans = [*self.spans, span] if span is not None else self.spans
        request = Request(Turn(role), list(spans), 1, uncommitted=int(span is not None))
        return Asked(self.sessions[role].generate(request))

    async def _drop(self, asked: Asked | None) -> None:
        if asked is not None:
            await asked.close()


class Asked:
    """A stream that is being asked for from the moment it is made; closing it aborts it."""

    def __init__(self, chunks: AsyncGenerator[Chunk, None]) -> None:
        self.chunks = chunks
        self.first: asyncio.Task[Chunk] | None = asyncio.ensure_future(anext(chunks))

    async def next(self) -> Chunk:
        first, self.first = self.first, None
        return await (first or anext(self.chunks))

    async def close(self) -> None:
        if self.first is not None:
            self.first.cancel()
            await asyncio.wait([self.first])
        await self.chunks.aclose()


async def _alternate(
    urls: Mapping[str, str], count: int, scale: float, **options: Any
) -> tuple[float, int, int]:
    """Seconds of the model, tokens kept, requests."""
    backends = {role: VllmBackend(role, VllmOptions(), url=url) for role, url in urls.items()}
    for backend in backends.values():
        await backend.start()
    traces = []
    for i in range(count):
        sessions = {r: b.session(Prompt.user(f"{i}?"), f"{i}") for r, b in backends.items()}
        traces.append(Trace(sessions, seed=i, **options))
    began = monotonic()
    await asyncio.gather(*(trace.write() for trace in traces))
    seconds = (monotonic() - began) * scale
    for backend in backends.values():
        await backend.close()
    return seconds, sum(t.tokens for t in traces), sum(t.requests for t in traces)


def ahead(count: int, thinking: int, scale: float, alarms: float) -> None:
    print(f"{count} trajectories at once, thinking {thinking} tokens on average, {scale:g} x real time")
    print(
        "| words waited for | next model is asked | false alarms a token | requests | discarded | makespan |"
    )
    print("|---|---|---|---|---|---|")
    for look, early, share in ((0, False, 0.0), (2, False, 0.0), (2, True, 0.0), (2, True, alarms)):
        with simulated_servers(PAIR, thinking=thinking, answer=1, scale=scale) as urls:
            seconds, kept, requests = asyncio.run(
                _alternate(urls, count, scale, look=look, ahead=early, alarms=share)
            )
            generated = sum(json.loads(page(f"{url}/figures"))["generated"] for url in urls.values())
        print(
            f"| {look} | {'at once' if early else 'when settled'} | {share:g} | {1000 * requests / kept:.1f} "
            f"| {1000 * (generated - kept) / kept:,.0f} | {seconds:.2f} s |",
            flush=True,
        )


# --- alarms -----------------------------------------------------------------------------------------


def alarms(data: Path) -> None:
    segments = read_segments(data)
    settled = predict(segments, None, 2)
    print(
        "| seen with `look` | cuts seen at once | cuts seen only when settled | false alarms a cut | a word |"
    )
    print("|---|---|---|---|---|")
    for look in (0, 1):
        hits = missed = false = total = 0
        for segment, early, late in zip(segments, predict(segments, None, look), settled, strict=True):
            at = words(segment.text)
            first, second = word_labels(at, early), word_labels(at, late)
            total += len(second)
            for i in range(1, len(second)):
                kind, alarm = second[i - 1], first[i] != second[i - 1]
                if second[i] != kind:
                    hits, missed = hits + alarm, missed + (not alarm)
                else:
                    false += alarm
        cuts = hits + missed
        print(
            f"| {look} | {hits / cuts:.1%} | {missed / cuts:.1%} | {false / cuts:.2f} | {false / total:.4f} |"
        )


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("limits", "ahead", "alarms"))
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--thinking", type=int, default=400)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--alarms", type=float, default=0.05)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    if options.what == "limits":
        limits(options.count, options.thinking)
    elif options.what == "ahead":
        ahead(options.count, options.thinking, options.scale, options.alarms)
    else:
        alarms(options.data)


if __name__ == "__main__":
    _main()
