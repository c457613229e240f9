"""How well and how fast the lexicon detector labels: ``python bench_lexicon.py --data STYLE_SPANS_DIR``.

Words are what stands between spaces; a word is style if a style span touches it. A boundary is a word
whose label differs from that of the word before.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tessy.detectors.lexicon import LexiconDetector, LexiconOptions
from tessy.types import Window

WORD = re.compile(r"\S+")


def touched(text: str, spans: Iterable[Sequence[int]]) -> list[bool]:
    spans = list(spans)
    return [any(a < m.end() and m.start() < b for a, b in spans) for m in WORD.finditer(text)]


def predicted(detector: LexiconDetector, text: str) -> list[bool]:
    labels = detector.read(Window("x", "teacher", 0, text, 0, final=True))
    starts = [m.start() for m in WORD.finditer(text)]
    return [any(i.start <= at < i.end and i.style for i in labels) for at in starts]


def boundaries(labels: Sequence[bool]) -> list[int]:
    return [i for i in range(1, len(labels)) if labels[i] != labels[i - 1]]


def near(found: Sequence[int], wanted: Sequence[int], reach: int) -> int:
    """How many boundaries find a partner at most ``reach`` words off."""
    rest, hits = list(wanted), 0
    for at in found:
        close = [other for other in rest if abs(other - at) <= reach]
        if close:
            rest.remove(min(close, key=lambda other: abs(other - at)))
            hits += 1
    return hits


def f1(hits: int, found: int, wanted: int) -> float:
    return 200 * hits / max(1, found + wanted)


def measure(detector: LexiconDetector, path: Path) -> str:
    hits = found = wanted = exact = close = edges = true_edges = right = words = 0
    for line in path.read_text().splitlines():
        row = json.loads(line)
        gold, ours = touched(row["text"], row["spans"]), predicted(detector, row["text"])
        hits += sum(a and b for a, b in zip(ours, gold, strict=True))
        found, wanted = found + sum(ours), wanted + sum(gold)
        right += sum(not a and not b for a, b in zip(ours, gold, strict=True))
        words += len(gold)
        p, g = boundaries(ours), boundaries(gold)
        exact, close = exact + near(p, g, 0), close + near(p, g, 1)
        edges, true_edges = edges + len(p), true_edges + len(g)
    return (
        f"{path.stem:18} style F1 {f1(hits, found, wanted):.1f}  precision {100 * hits / found:.1f}  "
        f"recall {100 * hits / wanted:.1f}  capability precision {100 * right / (words - found):.1f}  "
        f"boundary F1 {f1(exact, edges, true_edges):.1f}  ±1 word {f1(close, edges, true_edges):.1f}"
    )


def speed(detector: LexiconDetector, path: Path) -> str:
    """Time per chunk of about a token, in a window as `tessy.detection` makes them."""
    text = "\n\n".join(json.loads(line)["text"] for line in path.read_text().splitlines()[:40])
    calls, at, began = 0, 1200, time.perf_counter()
    for end in range(1200, len(text), 5):
        labels = detector.read(Window("x", "teacher", at - 1200, text[at - 1200 : end], 1200))
        at += labels[-1].end - 1200 if labels else 0
        calls += 1
    each = (time.perf_counter() - began) / calls
    began = time.perf_counter()
    detector.read(Window("x", "teacher", 0, text, 0, final=True))
    whole = time.perf_counter() - began
    return (
        f"{each * 1e6:.0f} µs a chunk of 5 characters, {len(text) / whole / 1e6:.2f} M characters/s at once"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled segments")
    parser.add_argument("files", nargs="*", default=["train", "dev_seen_sources", "dev_new_sources"])
    arguments = parser.parse_args()
    detector = LexiconDetector(LexiconOptions())
    for name in arguments.files:
        print(measure(detector, arguments.data / f"{name}.jsonl"))
    print(speed(detector, arguments.data / f"{arguments.files[0]}.jsonl"))


if __name__ == "__main__":
    main()
