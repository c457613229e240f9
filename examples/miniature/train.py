"""Makes the pair from nothing: vocabularies, training, Hugging Face folders and GGUF files.

Run it as `python examples/miniature/train.py --out examples/miniature/models`.
Data is written on the fly and never seen twice. Needs torch, transformers and gguf; nothing
else in the project needs torch.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from chat import FORMATS, IGNORED, encode, sample_example
from model import build, optimisers, save
from tokenizers import Tokenizer
from vocab import save_tokenizer, train_tokenizer

from export import export_gguf


@dataclass(frozen=True)
class Stage:
    """A part of the training: so many steps of so many conversations, up to so many turns long."""

    steps: int
    batch: int
    rate: float
    most_turns: int = 0


# The second stage teaches what the first hardly shows: to find one's way in 1,000 tokens.
_LONG = Stage(steps=180, batch=28, rate=5e-4, most_turns=14)
STAGES = {
    "teacher": (Stage(steps=1600, batch=48, rate=3e-3), _LONG),
    "student": (Stage(steps=1500, batch=48, rate=3e-3), _LONG),
}
_POOL = 16  # batches drawn at once and sorted by length, so that little is padding


def main() -> None:
    """Train one role or both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where the models go")
    parser.add_argument("--role", choices=sorted(FORMATS), action="append")
    parser.add_argument("--steps", type=int, help="steps of every stage, for a quick try")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for role in options.role or ["teacher", "student"]:
        make(role, options.out, options.steps, options.seed)


def make(role: str, out: Path, steps: int | None, seed: int) -> None:
    """Make one model from nothing and write it to `out/role` and `out/role.gguf`."""
    wall, cpu = time.perf_counter(), time.process_time()
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(role, seed=seed)
    save_tokenizer(role, tokenizer, out / role)
    model = build(role, tokenizer)
    size = sum(p.numel() for p in model.parameters())
    print(f"{role}: {size:,} parameters, {tokenizer.get_vocab_size()} tokens", flush=True)
    for number, stage in enumerate(STAGES[role]):
        rng = random.Random(seed + 1 + number)
        train(model, _batches(role, tokenizer, stage, rng), replace(stage, steps=steps or stage.steps))
    save(model, out / role)
    export_gguf(out / role, out / f"{role}.gguf")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{role}: {wall / 60:.1f} min wall, {cpu / 60:.1f} min CPU", flush=True)


def train(model: Any, batches: Iterator[dict[str, torch.Tensor]], stage: Stage) -> None:
    """Train through one stage, with a rate that rises, holds and falls to nearly nothing."""
    steps, tools = stage.steps, optimisers(model, stage.rate)
    warmup = max(1, min(100, steps // 10))
    began, shown = time.perf_counter(), 0.0
    for step in range(1, steps + 1):
        rate = stage.rate * min(1.0, step / warmup, 0.02 + (steps - step) / (0.6 * steps))
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**next(batches)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for tool in tools:
            for group in tool.param_groups:
                group["lr"] = rate
            tool.step()
            tool.zero_grad()
        shown += loss.item()
        if step % 50 == 0:
            seconds = time.perf_counter() - began
            print(f"step {step} loss {shown / 50:.4f} rate {rate:.5f} {seconds:.0f} s", flush=True)
            shown = 0.0


def _batches(
    role: str, tokenizer: Tokenizer, stage: Stage, rng: random.Random
) -> Iterator[dict[str, torch.Tensor]]:
    form = FORMATS[role]
    while True:
        pool = []
        for _ in range(stage.batch * _POOL):
            example = sample_example(form, rng, most_turns=stage.most_turns)
            pool.append(encode(form, tokenizer, example, rng))
        pool.sort(key=lambda pair: len(pair[0]))
        groups = [pool[i : i + stage.batch] for i in range(0, len(pool), stage.batch)]
        rng.shuffle(groups)
        yield from map(_collate, groups)


def _collate(group: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    # A multiple of 16: few different shapes, for which kernels are then made only once.
    width = -(-max(len(ids) for ids, _ in group) // 16) * 16
    ids = torch.zeros(len(group), width, dtype=torch.long)
    labels = torch.full((len(group), width), IGNORED)
    for row, (tokens, targets) in enumerate(group):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, : len(targets)] = torch.tensor(targets)
    return {"input_ids": ids, "labels": labels}


if __name__ == "__main__":
    main()
