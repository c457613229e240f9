"""A token classifier: loaded, examined, and run on batches of token sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForTokenClassification, DynamicCache
from transformers.utils import logging

from tessy.errors import ConfigError
from tessy_hf_boundary.encoder import Encoder
from tessy_hf_boundary.options import HfBoundaryOptions
from tessy_hf_boundary.source import Source

__all__ = ["Classifier", "Row"]

_TOLERANCE = 0.05
"""Of the largest logit: what rounding may do in bfloat16, and a change of the text does not stay below."""


@dataclass(slots=True)
class Row:
    """A sequence to run: ``ids`` follow on what ``past`` holds.

    After `Classifier.run`, ``probabilities`` has one number per id (that its label means style) and
    ``past`` the keys and values of all tokens, as ``[layer, key or value, head, token, size]``, if asked.
    """

    ids: Sequence[int]
    past: torch.Tensor | None = None
    probabilities: list[float] | None = None


class Classifier:
    """One model with its tokenizer. Loading and running block: call it from a thread of its own.

    Raises:
        ConfigError: it cannot be loaded, is no token classifier, or its labels do not say what is style.

    Attributes:
        causal: a label depends on nothing right of its token.
        incremental: keys and values can be kept; checked at start against the whole computation.
        limit: the longest sequence it takes, special tokens included.
        dtype: what it computes in.
    """

    def __init__(self, source: Source, options: HfBoundaryOptions) -> None:
        self.source = source
        where = f"detector hf-boundary: model {source.name!r}"
        self.encoder, self.limit = Encoder.load(source.folder, source.name)
        self._device = _device(options.device)
        dtype = options.dtype
        if dtype == "auto":
            dtype = "float32" if self._device.type == "cpu" else "bfloat16"
        self.dtype = dtype
        with _named(where):
            config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
        self._style = _style_labels(where, config, options.style_label)
        self._model = _load(where, source, getattr(torch, dtype)).to(self._device)
        self.limit = min(self.limit, _positions(config))
        self._padding = int(getattr(config, "pad_token_id", None) or 0)
        with _named(where):
            self.causal = self._is_causal(config.get_text_config().vocab_size)
        self.incremental = self.causal and self._is_incremental(config.get_text_config().vocab_size)

    def run(self, rows: Sequence[Row], *, keep: bool = False) -> None:
        """One forward pass; with ``keep``, rows go on from their past and get the new one."""
        past = [0 if row.past is None else int(row.past.shape[3]) for row in rows]
        longest, before = max(len(row.ids) for row in rows), max(past)
        ids = torch.full((len(rows), longest), self._padding)
        # Pasts are aligned right and new tokens left, so that they are neighbours in every row.
        mask = torch.zeros((len(rows), before + longest), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row.ids)] = torch.tensor(row.ids)
            mask[i, before - past[i] : before + len(row.ids)] = 1
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if keep:
            given["position_ids"] = torch.tensor(past)[:, None] + torch.arange(longest)
        given = {name: value.to(self._device) for name, value in given.items()}
        with torch.inference_mode():
            cache = self._cache(rows, before) if keep else None
            if keep:
                given.update(past_key_values=cache, use_cache=True)
            logits = self._model(**given).logits.float()
            style = logits.softmax(-1)[..., self._style].sum(-1).tolist()
            for i, row in enumerate(rows):
                row.probabilities = style[i][: len(row.ids)]
                if cache is not None:
                    row.past = _taken(cache, i, before - past[i], before + len(row.ids))

    def _cache(self, rows: Sequence[Row], before: int) -> DynamicCache:
        shape = next((row.past.shape for row in rows if row.past is not None), None)
        if shape is None or before == 0:
            return DynamicCache()
        layers, two, heads, _, size = shape
        whole = torch.zeros(
            (layers, two, len(rows), heads, before, size), dtype=self._model.dtype, device=self._device
        )
        for i, row in enumerate(rows):
            if row.past is not None:
                whole[:, :, i, :, before - row.past.shape[3] :] = row.past
        return DynamicCache([(layer[0], layer[1]) for layer in whole])

    def _is_causal(self, vocabulary: int) -> bool:
        """Whether no label has any derivative with respect to a token right of it."""
        ids = torch.tensor([[3 * i % vocabulary for i in range(1, 17)]], device=self._device)
        embedded = self._model.get_input_embeddings()(ids).detach().requires_grad_()
        logits = self._model(inputs_embeds=embedded).logits[0, :8].float()
        (gradient,) = torch.autograd.grad(logits.square().sum(), embedded)
        return not bool(gradient[0, 8:].any())

    def _is_incremental(self, vocabulary: int) -> bool:
        """Whether going on from kept keys and values gives what the whole text gives, in a padded batch."""
        texts = [[(3 * i + j) % vocabulary for i in range(1, 13 - j)] for j in range(2)]
        try:
            whole, first = [Row(ids) for ids in texts], [Row(texts[0][:5]), Row(texts[1][:2])]
            self.run(whole)
            self.run(first, keep=True)
            rest = [Row(texts[0][5:], first[0].past), Row(texts[1][2:], first[1].past)]
            self.run(rest, keep=True)
        except Exception:  # a kind of model that keeps something else: its windows are computed anew
            return False
        for all_of_it, *parts in zip(whole, first, rest, strict=True):
            joined = [p for part in parts for p in part.probabilities or ()]
            expected = all_of_it.probabilities or []
            if max(abs(a - b) for a, b in zip(joined, expected, strict=True)) > _TOLERANCE:
                return False
        return True


def _taken(cache: DynamicCache, row: int, start: int, end: int) -> torch.Tensor:
    layers = [torch.stack((layer.keys[row], layer.values[row])) for layer in cache.layers]
    return torch.stack(layers)[:, :, :, start:end].clone()


def _load(where: str, source: Source, dtype: torch.dtype) -> Any:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with _named(where):
            model, info = AutoModelForTokenClassification.from_pretrained(
                source.folder,
                dtype=dtype,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    finally:
        if shown:
            logging.enable_progress_bar()
    lacking = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if lacking:
        raise ConfigError(
            f"{where}: is no trained token classifier: its weights lack {', '.join(lacking[:3])}"
            f"{' and more' if len(lacking) > 3 else ''}"
        )
    return model.eval().requires_grad_(False)


def _style_labels(where: str, config: Any, wanted: Sequence[str]) -> list[int]:
    names = {int(i): str(name) for i, name in config.id2label.items()}
    shown = ", ".join(f"{i} ({name})" for i, name in sorted(names.items()))
    if len(names) < 2:
        raise ConfigError(f"{where}: has one label, {shown}; it takes two to tell style from capability")
    if not wanted:
        found = [i for i, name in names.items() if name.casefold() == "style"]
        if not found and len(names) != 2:
            raise ConfigError(f"{where}: has {len(names)} labels, {shown}; say style_label=ID_OR_NAME")
        return found or [1]
    ids = {label: i for i, name in names.items() for label in (name, str(i))}
    unknown = [label for label in wanted if label not in ids]
    if unknown:
        raise ConfigError(f"{where}: style_label: there is no label {unknown[0]!r}; it has {shown}")
    style = sorted({ids[label] for label in wanted})
    if len(style) == len(names):
        raise ConfigError(f"{where}: style_label: names all labels, {shown}; nothing would be capability")
    return style


def _positions(config: Any) -> int:
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(positions) if positions else 1 << 30


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"detector hf-boundary: device={wanted}: PyTorch sees {torch.cuda.device_count()} GPUs"
        )
    return device


@contextmanager
def _named(where: str) -> Iterator[None]:
    """What transformers raises becomes a `ConfigError` that names the model."""
    try:
        yield
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise ConfigError(f"{where}: cannot be loaded: {type(error).__name__}: {first}") from error
