"""Training: labelled segments in, a folder that ``--detector boundary:FOLDER`` takes out. Needs torch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.detectors.boundary.detector import BoundaryDetector, BoundaryOptions
from tessy.detectors.boundary.features import checksum, normal
from tessy.detectors.boundary.lookup import START, Seen, known_words, row_of
from tessy.detectors.boundary.reading import words_of
from tessy.detectors.boundary.weights import DEFAULT, Shape, Weights, load, save
from tessy.errors import ConfigError
from tessy.types import Window

if TYPE_CHECKING:
    from tessy.detectors.boundary._model import Model
    from tessy.labelling.segments import Segment

__all__ = ["Example", "example", "fit", "predict", "train"]

_BATCH = 32
_STEPS = 150
"""The least that a training takes, unless told otherwise."""
_VOCABULARY = 12_000


@dataclass(frozen=True, slots=True)
class Example:
    """A stretch of text to learn from: its words, and how likely each is style."""

    words: tuple[Seen, ...]
    style: tuple[float, ...]


def example(segment: Segment) -> Example:
    """A word is style if a span touches it."""
    words = list(words_of(segment.text))
    style = [float(any(a < end and start < b for a, b in segment.spans)) for start, end, _ in words]
    return Example(tuple(seen for _, _, seen in words), tuple(style))


def train(
    segments: Sequence[Segment],
    out: Path,
    *,
    dev: Sequence[Segment] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    base: Path | str | None = DEFAULT,
    log: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Train on segments and write the folder ``out``.

    Args:
        segments: what to learn from.
        out: the folder; made if it is not there.
        dev: held-out segments to measure on; nothing is learnt from them.
        epochs: times that every segment is seen; by default 6, and more of few segments: their 6 would be
            over before the learning rate has risen.
        seed: same seed and segments, same weights (on one machine).
        base: weights to start from, by default those shipped with tessy: few segments then go far.
            ``None``: from nothing.
        log: told what happens, a line at a time.

    Returns:
        What is also noted in the folder: segments, epochs, seed, and figures on ``dev``.

    Raises:
        ConfigError: no segments, no torch, or ``base`` holds no weights.
    """
    examples = [example(segment) for segment in segments]
    examples = [one for one in examples if one.words]
    if not examples:
        raise ConfigError("no labelled text to train on")
    start = load(Path(base)) if base is not None else None
    if epochs is None:
        epochs = max(6, -(-_STEPS * _BATCH // len(examples)))
    rate = 3e-3 if start is None else 1e-3
    weights = fit(examples, start=start, epochs=epochs, seed=seed, rate=rate, log=log)
    notes: dict[str, Any] = {"segments": len(segments), "epochs": epochs, "seed": seed}
    save(replace(weights, notes=notes), out)
    if dev:
        from tessy.labelling.metrics import measure

        notes["dev"] = measure(dev, predict(dev, out))
        log("dev: " + ", ".join(f"{name} {value:.3f}" for name, value in notes["dev"].items()))
        save(replace(weights, notes=notes), out)
    return notes


def predict(segments: Sequence[Segment], folder: Path | None, look: int = 2) -> list[list[tuple[int, int]]]:
    """The style spans that a folder's detector finds, without the white space around them."""
    options = BoundaryOptions.model_validate({"look": look})
    detector = BoundaryDetector(options, model=None if folder is None else str(folder))
    result = []
    for begin in range(0, len(segments), 64):
        some = segments[begin : begin + 64]
        windows = [Window(str(i), "teacher", 0, s.text, 0, final=True) for i, s in enumerate(some)]
        for segment, labels in zip(some, detector.read(windows), strict=True):
            spans: list[tuple[int, int]] = []
            for label in labels:
                text = segment.text[label.start : label.end]
                if not label.style or not text.strip():
                    continue
                start = label.start + len(text) - len(text.lstrip())
                if spans and not segment.text[spans[-1][1] : start].strip() and spans[-1][1] >= label.start:
                    start = spans.pop()[0]
                spans.append((start, label.start + len(text.rstrip())))
            result.append(spans)
    return result


def fit(
    examples: Sequence[Example],
    *,
    start: Weights | None = None,
    shape: Shape | None = None,
    epochs: int,
    seed: int = 0,
    rate: float = 3e-3,
    dropout: float = 0.2,
    log: Callable[[str], object] = print,
    check: Callable[[Weights], str] | None = None,
) -> Weights:
    """Fit a network to examples: every batch at one of its lookaheads, the average of the weights counts.

    The last third of the steps rounds to whole numbers as the detector does. ``check`` is asked now and
    then for a line to log.
    """
    try:
        import torch

        from tessy.detectors.boundary._model import Model
    except ImportError as error:
        raise ConfigError("training needs torch: pip install 'tessy-llm[train]'") from error
    torch.manual_seed(seed)
    rng = random.Random(seed)
    vocabulary = start.arrays["vocabulary"] if start is not None else _vocabulary(examples)
    shape = start.shape if start is not None else shape or Shape()
    model = Model(shape, len(vocabulary), dropout=dropout)
    if start is not None:
        model.restore(start.arrays)
    data = _Data(examples, known_words(vocabulary))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True
    )
    average = [p.detach().clone() for p in model.parameters()]
    steps, step = epochs * -(-len(examples) // _BATCH), 0

    def averaged() -> Weights:
        shadow = Model(shape, len(vocabulary))
        for parameter, mean in zip(shadow.parameters(), average, strict=True):
            parameter.data = mean
        return Weights(shape, {"vocabulary": vocabulary, **shadow.arrays()})

    for epoch in range(epochs):
        model.train()
        total = 0.0
        for batch in data.batches(rng):
            model.exact = step > 2 * steps // 3
            part = step / steps
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, (step + 1) / 100) * (1 - part) ** 0.7
            loss = _loss(model, batch, rng)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step, total = step + 1, total + float(loss.detach())
            keep = min(0.995, step / (step + 10))
            for mean, parameter in zip(average, model.parameters(), strict=True):
                mean.mul_(keep).add_(parameter.detach(), alpha=1 - keep)
        checked = f", {check(averaged())}" if check is not None else ""
        log(f"epoch {epoch + 1} of {epochs}: loss {total * _BATCH / len(examples):.4f}{checked}")
    return averaged()


def _loss(model: Model, batch: tuple[Any, ...], rng: random.Random) -> Any:
    from torch.nn import functional

    rows, kinds, mask, style = batch
    looks = model.shape.looks
    often = [looks.index(2)] * 3 if 2 in looks else []  # the default
    look = rng.choice([*range(len(looks)), *often])
    logits = model(rows, kinds, mask, look)
    each = functional.binary_cross_entropy_with_logits(logits, style, reduction="none")
    return (each * mask).sum() / mask.sum()


def _vocabulary(examples: Sequence[Example]) -> Any:
    """Checksums of the words that are seen often enough."""
    import numpy as np

    counts = Counter(normal(chunk.lstrip()) for one in examples for chunk, _ in one.words)
    common = [checksum(word) for word, n in counts.most_common(_VOCABULARY) if word and n >= 3]
    return np.array(list(dict.fromkeys(common)), np.uint32)


class _Data:
    """Examples as tensors."""

    def __init__(self, examples: Sequence[Example], known: dict[int, int]) -> None:
        import torch

        self._torch: Any = torch
        numbers: dict[Seen, int] = {}
        self._items = []
        for one in examples:
            words = [numbers.setdefault(seen, len(numbers)) for seen in one.words]
            kinds = [seen[1] % START for seen in one.words]
            self._items.append((torch.tensor(words), torch.tensor(kinds), torch.tensor(one.style)))
        self._rows = torch.tensor([row_of(seen, known) for seen in numbers])

    def batches(self, rng: random.Random) -> Iterator[tuple[Any, ...]]:
        """All examples in random batches of about equal lengths; some lose their beginning."""
        order = list(range(len(self._items)))
        rng.shuffle(order)
        groups = []
        for i in range(0, len(order), _BATCH * 16):
            near = sorted(order[i : i + _BATCH * 16], key=lambda k: len(self._items[k][0]))
            groups += [near[j : j + _BATCH] for j in range(0, len(near), _BATCH)]
        rng.shuffle(groups)
        for group in groups:
            yield self._batch([self._cropped(self._items[k], rng) for k in group])

    def _cropped(self, item: tuple[Any, ...], rng: random.Random) -> tuple[Any, ...]:
        begin = rng.randrange(max(1, len(item[0]) // 2)) if rng.random() < 0.3 else 0
        return tuple(part[begin:] for part in item)

    def _batch(self, items: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        pad = self._torch.nn.utils.rnn.pad_sequence
        words, kinds, style = (pad(list(parts), batch_first=True) for parts in zip(*items, strict=True))
        mask = pad([self._torch.ones(len(item[0])) for item in items], batch_first=True)
        return self._rows[words], kinds, mask, style
