"""The network in torch, for training only: the same whole numbers as `net.Net`, with gradients.

Words are vectors; a first layer sees a few words to the left and up to ``max(looks)`` to the right, the
layers above only what stands left, at growing distances. One network learns every lookahead at once: the
words beyond it are left out, and a bias says how many there are.
"""

# mypy: disable-error-code="no-untyped-call,misc,no-any-return"
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tessy.detectors.boundary.features import KINDS, ROWS
from tessy.detectors.boundary.net import ACTIVATION, CEILING, LIMIT, OUTPUT, WEIGHT
from tessy.detectors.boundary.weights import Shape

__all__ = ["Model"]


class Model(nn.Module):
    """The network; ``rows`` are the features of every word it will be asked about.

    With ``exact`` it rounds as the detector does, and learns to live with that.
    """

    def __init__(self, shape: Shape, words: int, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.shape, self.exact, self.unknown = shape, False, 0.1
        e, d = shape.embedding, shape.width
        self.words = nn.Parameter(torch.randn(words + 1, e) * 0.1)
        self.features = nn.Parameter(torch.randn(ROWS, e) * 0.05)
        self.kinds = nn.Parameter(torch.randn(len(KINDS) + 1, e) * 0.1)
        self.input = nn.Parameter(torch.randn(shape.taps * e, d) * (2 / (shape.taps * e)) ** 0.5)
        self.input_bias = nn.Parameter(torch.zeros(len(shape.looks), d))
        self.layers = nn.ParameterList(
            [torch.randn(3 * d, d) * (0.5 / (3 * d)) ** 0.5 for _ in shape.dilations]
        )
        self.biases = nn.ParameterList([torch.zeros(d) for _ in shape.dilations])
        self.output = nn.Parameter(torch.randn(d) * 0.1)
        self.output_bias = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, kinds: Tensor, mask: Tensor, look: int) -> Tensor:
        """Logits of style, for padded batches of rows ``[batch, words, features]``, at ``looks[look]``."""
        shape = self.shape
        known = rows[..., 0]
        if self.training and self.unknown:
            known = known.masked_fill(torch.rand(known.shape) < self.unknown, 0)
        table = functional.pad(self._whole(self.words, ACTIVATION)[1:], (0, 0, 1, 0))
        x = functional.embedding(known, table)
        x = x + functional.embedding(rows[..., 1:], self._whole(self.features, ACTIVATION)).sum(-2)
        x = x + functional.embedding(kinds, self._whole(self.kinds, ACTIVATION))
        x = x.clamp(-LIMIT / ACTIVATION, LIMIT / ACTIVATION)
        x = self.dropout(x) * mask[..., None]
        reach, length = shape.looks[look], x.shape[1]
        wide = functional.pad(x, (0, 0, shape.back, reach))
        taps = shape.back + 1 + reach
        seen = torch.cat([wide[:, i : i + length] for i in range(taps)], -1)
        first = self._whole(self.input, WEIGHT)[: taps * shape.embedding]
        h = self.dropout(self._activate(seen @ first + self.input_bias[look]))
        for weight, bias, gap in zip(self.layers, self.biases, shape.dilations, strict=True):
            wide = functional.pad(h, (0, 0, 2 * gap, 0))
            seen = torch.cat([wide[:, i * gap : i * gap + length] for i in range(3)], -1)
            z = self.dropout(self._activate(seen @ self._whole(weight, WEIGHT) + bias))
            h = (h + z).clamp(max=CEILING / ACTIVATION) if self.exact else h + z
        return h @ self._whole(self.output, OUTPUT) + self.output_bias

    def restore(self, arrays: dict[str, Any]) -> None:
        """Take over the whole numbers of a trained network."""
        scales = self._scales()
        for name, parameter in self._named().items():
            parameter.data = torch.from_numpy(arrays[name].astype(np.float32)) / scales[name]

    def arrays(self) -> dict[str, Any]:
        """The whole numbers, as `weights.expected` names them, without the vocabulary."""
        result = {}
        for name, scale in self._scales().items():
            whole = (self._named()[name].detach() * scale).round().numpy()
            bias = name.endswith("_bias")
            result[name] = whole.astype(np.int32) if bias else whole.clip(-LIMIT, LIMIT).astype(np.int8)
        result["words"][0] = 0
        return result

    def _named(self) -> dict[str, Tensor]:
        named = {name: p for name, p in self.named_parameters() if "." not in name}
        for i, (weight, bias) in enumerate(zip(self.layers, self.biases, strict=True)):
            named |= {f"layer{i}": weight, f"layer{i}_bias": bias}
        return named

    def _scales(self) -> dict[str, float]:
        vectors = dict.fromkeys(("words", "features", "kinds"), ACTIVATION)
        last = {"output": OUTPUT, "output_bias": ACTIVATION * OUTPUT}
        layers = ["input", *(f"layer{i}" for i in range(len(self.shape.dilations)))]
        biases = {f"{name}_bias": ACTIVATION * WEIGHT for name in layers}
        return {**vectors, **last, **dict.fromkeys(layers, WEIGHT), **biases}

    def _activate(self, z: Tensor) -> Tensor:
        h = functional.relu(z)
        if not self.exact:
            return h
        h = h.clamp(max=CEILING / ACTIVATION)
        return h + ((h * ACTIVATION).round() / ACTIVATION - h).detach()

    def _whole(self, weight: Tensor, scale: float) -> Tensor:
        if not self.exact:
            return weight
        near = (weight.detach() * scale).round().clamp(-LIMIT, LIMIT) / scale
        return weight + (near - weight.detach())
