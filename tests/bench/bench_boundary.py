"""How well and how fast detector boundary labels: ``python bench_boundary.py --data STYLE_SPANS_DIR``.

Accuracy on labelled segments with 95 % bootstrap intervals over segments, by family and by lookahead.
Speed through `tessy.detection`, as in a run: 64 trajectories that stream a few tokens at a time, on one
core; a token is taken for four characters.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: the speed of one core is asked for

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from tessy.abc import StyleDetector
from tessy.boundary import Origin
from tessy.detection import Detection
from tessy.detectors.boundary import BoundaryDetector, BoundaryOptions
from tessy.detectors.boundary.train import predict
from tessy.draft import Draft
from tessy.labelling.metrics import count, figures_of
from tessy.labelling.segments import Segment, read_segments
from tessy.types import Chunk, Turn

SHOWN = ("precision", "recall", "f1", "boundary_f1", "boundary_f1_1", "cut_exact")
LOOKS = (0, 1, 2, 4)
TOKEN = 4
SPEED, RATIO = 50_000, 1.2
"""What is promised; the benchmark fails below."""


def accuracy(segments: Sequence[Segment], folder: Path | None, look: int, *, draws: int = 1000) -> str:
    rows = [
        astuple(count(segment.text, segment.spans, spans))
        for segment, spans in zip(segments, predict(segments, folder, look), strict=True)
    ]
    whole = figures(rows)
    rng, samples = random.Random(0), []
    for _ in range(draws):
        samples.append(figures(rng.choices(rows, k=len(rows))))
    parts = []
    for name in SHOWN:
        values = sorted(sample[name] for sample in samples)
        low, high = values[int(0.025 * draws)], values[int(0.975 * draws)] if draws > 1 else values[0]
        parts.append(f"{name} {100 * whole[name]:.1f} [{100 * low:.1f}, {100 * high:.1f}]")
    return "  ".join(parts)


def figures(rows: Sequence[tuple[int, ...]]) -> Mapping[str, float]:
    return figures_of([sum(column) for column in zip(*rows, strict=True)])


async def stream(detector: StyleDetector, texts: Sequence[str], largest: int, seed: int) -> float:
    """Tokens per second of trajectories that stream side by side."""
    detection = Detection(detector, Origin("style detector", "boundary"))
    await detection.start()
    tokens = sum(len(text) // TOKEN for text in texts)

    async def one(number: int, text: str) -> None:
        rng, track, draft, at = random.Random(seed + number), detection.track(str(number)), None, 0
        while at < len(text):
            if draft is None or rng.random() < 0.02:  # a turn of some hundred tokens
                if draft is not None:
                    track.commit(draft.text)
                draft = Draft(Turn("teacher"))
            end = min(len(text), at + TOKEN * rng.randint(1, largest))
            draft.extend(Chunk(text[at:end]))
            await track.extend(draft)
            at = end
        track.close()

    began = time.process_time()
    await asyncio.gather(*(one(i, text) for i, text in enumerate(texts)))
    return tokens / (time.process_time() - began)


def cost(detector: BoundaryDetector, text: str, begin: int, tokens: int = 2000) -> float:
    """Microseconds a token of one trajectory whose stream has come to token ``begin``."""

    async def run() -> float:
        detection = Detection(detector, Origin("style detector", "boundary"))
        track, draft = detection.track("one"), Draft(Turn("teacher"))
        track.commit(text[: begin * TOKEN])
        began = time.process_time()
        for at in range(begin * TOKEN, (begin + tokens) * TOKEN, 5 * TOKEN):
            draft.extend(Chunk(text[at : at + 5 * TOKEN]))
            await track.extend(draft)
        track.close()
        return (time.process_time() - began) / tokens * 1e6

    return asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled segments")
    parser.add_argument("--model", type=Path, help="folder of weights, default: those shipped")
    parser.add_argument("files", nargs="*", default=["dev_seen_sources", "dev_new_sources"])
    arguments = parser.parse_args()
    everything: list[Segment] = []
    for name in arguments.files:
        segments = read_segments(arguments.data / f"{name}.jsonl")
        everything += segments
        for look in LOOKS:
            print(f"{name}, lookahead {look}: {accuracy(segments, arguments.model, look)}")
        for family in sorted({segment.family or "" for segment in segments}):
            some = [segment for segment in segments if segment.family == family]
            print(f"  {family} ({len(some)}): {accuracy(some, arguments.model, 2)}")
    model = str(arguments.model) if arguments.model else None
    text = "\n\n".join(segment.text for segment in everything)
    text *= 1 + 170_000 // len(text)
    texts = [(text[i * 1700 :] + text)[:16_000] for i in range(64)]
    speeds = {}
    for largest in (1, 20):
        detector = BoundaryDetector(BoundaryOptions(), model=model)
        speed = speeds[largest] = asyncio.run(stream(detector, texts, largest, 0))
        print(f"64 trajectories, 1 to {largest} tokens at a time: {speed:.0f} tokens/s on one core")
    detector = BoundaryDetector(BoundaryOptions(), model=model)
    early, late = (min(cost(detector, text, at) for _ in range(5)) for at in (400, 40_000))
    print(
        f"a token costs {early:.1f} µs at token 400, {late:.1f} µs at token 40,000: {late / early:.2f} times"
    )
    if min(speeds.values()) < SPEED or late > RATIO * early:
        sys.exit(f"wanted: {SPEED} tokens/s, and a token that costs at most {RATIO} times as much late on")


if __name__ == "__main__":
    main()
