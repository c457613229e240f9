"""The paper's predictor: a causal language model with a head that tells whether the next token is style.

Labels are shifted by one: the label at token *i* says whether token *i + 1* is style (1) or capability (0),
so nothing right of the token is needed. The last token of a segment has none. Defaults are the paper's
(METHOD: AdamW, learning rate 1e-5, batches of 32, 3 epochs, segments of at most 512 tokens).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer
from transformers.utils import logging as hf_logging

from tessy.errors import ConfigError
from tessy.labelling.segments import Segment, Span
from tessy.seeds import derive

__all__ = ["BASE", "Example", "encode", "shifted_labels", "train"]

BASE = "Qwen/Qwen3-0.6B-Base"
_IGNORED = -100
_NAMES = {0: "capability", 1: "style"}

Example = tuple[list[int], list[int]]
"""Token ids and the label of each."""


def train(
    segments: Sequence[Segment],
    out: Path,
    *,
    dev: Sequence[Segment] | None = None,
    base: str = BASE,
    epochs: int = 3,
    batch: int = 32,
    learning_rate: float = 1e-5,
    max_length: int = 512,
    device: str | None = None,
    seed: int = 0,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a classifier on ``base`` and save it, with its tokenizer, as safetensors in ``out``.

    Args:
        segments: to learn from.
        out: a folder; made if need be.
        dev: to measure on after each epoch.
        base: a model's folder or hub id; its code is never run.
        epochs: how often each segment is seen.
        batch: segments a step.
        learning_rate: of AdamW, constant.
        max_length: tokens of a segment; the rest is left out.
        device: ``cpu``, ``cuda``; default: a GPU if there is one.
        seed: of the head's first weights and of the order.
        log: gets a line after each epoch.

    Returns:
        ``tokens`` (in training), ``seconds``, and by epoch ``loss`` and, with ``dev``, ``dev_loss``,
        ``dev_f1`` (of style, by token).

    Raises:
        ConfigError: the base model cannot be loaded.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    began = time.perf_counter()
    torch.manual_seed(seed)
    model, tokenizer, dtype = _load(base)
    examples = [encode(tokenizer, segment, max_length) for segment in segments]
    held = [encode(tokenizer, segment, max_length) for segment in dev or ()]
    model = model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    history: list[dict[str, float]] = []
    for epoch in range(epochs):
        loss = _epoch(model, optimizer, _batches(examples, batch, derive(seed, epoch)), device)
        history.append({"loss": loss, **(_measure(model, held, batch, device) if held else {})})
        figures = ", ".join(f"{name} {value:.4f}" for name, value in history[-1].items())
        log(f"epoch {epoch + 1} of {epochs}: {figures}")
    with _quiet():
        model.to("cpu", dtype=dtype).save_pretrained(out)
        tokenizer.save_pretrained(out)
    return {
        "tokens": sum(len(ids) for ids, _ in examples),
        "seconds": time.perf_counter() - began,
        "epochs": history,
    }


def encode(tokenizer: Any, segment: Segment, max_length: int) -> Example:
    """A segment's tokens, each with the label of the next."""
    encoded = tokenizer(segment.text, return_offsets_mapping=True, truncation=True, max_length=max_length)
    ids = list(encoded["input_ids"])
    return ids, shifted_labels(segment.text, encoded["offset_mapping"], segment.spans)


def shifted_labels(text: str, offsets: Sequence[Span], spans: Sequence[Span]) -> list[int]:
    """For each token whether the next one is style: whether its first character that is seen is.

    White space belongs to the word that follows it. The last token, and tokens before one without text
    (control tokens), are ignored (-100).
    """
    labels = []
    for start, end in offsets[1:]:
        at = start + len(text[start:]) - len(text[start:].lstrip())
        labels.append(_IGNORED if start == end else int(any(a <= at < b for a, b in spans)))
    return [*labels, _IGNORED] if offsets else []


@contextmanager
def _quiet() -> Iterator[None]:
    """The library says nothing but errors meanwhile, and draws no bars."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            hf_logging.enable_progress_bar()
        hf_logging.set_verbosity(level)


def _load(base: str) -> tuple[Any, Any, Any]:
    """Model in single precision, tokenizer, and the precision that the model came in."""
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
            model = AutoModelForTokenClassification.from_pretrained(
                base,
                num_labels=len(_NAMES),
                id2label=_NAMES,
                label2id={name: number for number, name in _NAMES.items()},
                trust_remote_code=False,
                use_safetensors=True,
            )
    except (OSError, ValueError) as error:
        raise ConfigError(f"--base {base}: cannot be loaded as a token classifier: {error}") from error
    if not tokenizer.is_fast:
        raise ConfigError(f"--base {base}: its tokenizer cannot say where tokens stand (it is no fast one)")
    if model.config.pad_token_id is None:
        model.config.pad_token_id = 0
    dtype = model.dtype
    return model.float(), tokenizer, dtype


def _batches(examples: Sequence[Example], size: int, seed: int) -> Iterator[list[Example]]:
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed)).tolist()
    for i in range(0, len(order), size):
        yield [examples[n] for n in order[i : i + size]]


def _epoch(model: Any, optimizer: Any, batches: Iterator[list[Example]], device: str) -> float:
    """One pass; the mean loss of its steps."""
    model.train()
    losses = []
    for examples in batches:
        loss = _forward(model, examples, device).loss
        value = float(loss.detach())
        if math.isnan(value):  # nothing in the batch has a label
            continue
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(value)
    return sum(losses) / max(1, len(losses))


def _measure(model: Any, held: Sequence[Example], size: int, device: str) -> dict[str, float]:
    model.eval()
    loss, hits, found, wanted, steps = 0.0, 0, 0, 0, 0
    with torch.no_grad():
        for i in range(0, len(held), size):
            examples = list(held[i : i + size])
            output = _forward(model, examples, device)
            labels = _padded([labels for _, labels in examples], _IGNORED).to(device)
            style, gold = output.logits.argmax(-1) == 1, labels == 1
            known = labels != _IGNORED
            hits += int((style & gold).sum())
            found += int((style & known).sum())
            wanted += int(gold.sum())
            if known.any():
                loss, steps = loss + float(output.loss), steps + 1
    f1 = 2 * hits / (found + wanted) if found + wanted else 1.0
    return {"dev_loss": loss / max(1, steps), "dev_f1": f1}


def _forward(model: Any, examples: Sequence[Example], device: str) -> Any:
    ids = _padded([ids for ids, _ in examples], model.config.pad_token_id).to(device)
    mask = _padded([[1] * len(ids) for ids, _ in examples], 0).to(device)
    labels = _padded([labels for _, labels in examples], _IGNORED).to(device)
    # Weights stay in single precision: steps of 1e-5 would vanish in half of it.
    with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=device.startswith("cuda")):
        return model(input_ids=ids, attention_mask=mask, labels=labels)


def _padded(rows: Sequence[Sequence[int]], value: int) -> Any:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])
