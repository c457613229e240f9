"""What a hand-over costs, and what makes it cheaper: ``python bench_handover.py limits|ahead|alarms``.

``limits``: whole runs against simulated servers that stop a generation at once, late, or never, with and
without limits of the core's own. ``ahead``: whole runs in which the next model is asked when a cut is seen,
and when it is settled. ``alarms``: how often what detectors guess is no cut. Needs PYTHONPATH=tests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.schedule.measuring import Setting, measure_ours
from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.detectors.boundary import BoundaryDetector, BoundaryOptions
from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.draft import Draft
from tessy.labelling.segments import read_segments
from tessy.testing.simulated import Lengths, Record, account, simulated_servers
from tessy.types import Chunk, Turn

DETECTORS = {"lexicon": LexiconDetector(LexiconOptions()), "boundary": BoundaryDetector(BoundaryOptions())}
DETECTORS["boundary"].prepare()
PIECE = re.compile(r"\s*[^\s\w]*\w{1,7}|\s*[^\s\w]+|\s+")
"""A word with what stands before it, long ones in several pieces: much as tokenizers cut."""
PAIR = ("teacher", "student")


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


def ahead(counts: Sequence[int], thinking: int) -> None:
    """Whole runs, with the next model asked ahead and without; the detector is never wrong."""
    print("| trajectories | next model is asked | requests a span | discarded for 1,000 kept | makespan |")
    print("|---:|---|---:|---:|---:|")
    for count in counts:
        for early in (False, True):
            lengths = Lengths(thinking=thinking, answer=20)
            setting = Setting(
                slots=count, prompts=1, lengths=lengths, scale=min(0.7, 50 / count), ahead=early
            )
            made = measure_ours(setting, 2)
            print(
                f"| {count} | {'when seen' if early else 'when settled'} | {made.requests / made.spans:.3f} "
                f"| {1000 * made.discarded / made.kept:,.0f} | {made.makespan:.2f} s |",
                flush=True,
            )


# --- alarms -----------------------------------------------------------------------------------------


def alarms(files: Sequence[Path]) -> None:
    """What the shipped detectors' guesses are worth, on labelled text that comes in pieces of words."""
    print("| detector | data | cuts | guessed before | pieces earlier | false guesses a cut |")
    print("|---|---|---:|---:|---:|---:|")
    for name in ("lexicon", "boundary"):
        for file in files:
            seen = [asyncio.run(_guessed(name, segment.text)) for segment in read_segments(file)]
            cuts, early, false, lead = (sum(column) for column in zip(*seen, strict=True))
            print(
                f"| `{name}` | {file.stem} | {cuts:,} | {early / cuts:.1%} | {lead / max(1, early):.1f} "
                f"| {false / cuts:.3f} |",
                flush=True,
            )


async def _guessed(name: str, text: str) -> tuple[int, int, int, int]:
    """Of one text: its cuts, how many were guessed, how many guesses were none, pieces gained in all.

    A cut is where the label changes; the text goes on as it is, no other model takes over.
    """
    detector = DETECTORS[name]
    track = Detection(detector, Origin("style detector", name)).track("k")
    draft = Draft(Turn("teacher"))
    cuts = early = false = lead = 0
    guess: tuple[int, int] | None = None
    for number, piece in enumerate(PIECE.findall(text)):
        known = len(draft.labels)
        draft.extend(Chunk(piece, 1))
        await track.extend(draft)
        for before, after in pairwise(draft.labels[max(0, known - 1) :]):
            if before.style == after.style:
                continue
            cuts += 1
            if guess is not None:
                hit = guess[0] == after.start
                early, false, lead = early + hit, false + (not hit), lead + hit * (number - guess[1])
            guess = None
        labels = track.guess(draft)
        if labels is None or not draft.labels:
            continue
        style = draft.labels[-1].style
        at = next((label.start for label in labels if label.style != style), None)
        if guess is not None and at != guess[0]:
            false, guess = false + 1, None
        if guess is None and at is not None:
            guess = at, number
    track.close()
    return cuts, early, false, lead


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("limits", "ahead", "alarms"))
    parser.add_argument("--count", type=int, nargs="+", default=[16])
    parser.add_argument("--thinking", type=int, default=400)
    parser.add_argument("--data", type=Path, nargs="+")
    options = parser.parse_args()
    if options.what == "limits":
        limits(options.count[0], options.thinking)
    elif options.what == "ahead":
        ahead(options.count, options.thinking)
    else:
        alarms(options.data)


if __name__ == "__main__":
    _main()
