"""A server's own gauges, from its Prometheus page (vLLM documents the names under "Metrics")."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["read_metrics"]

_LINE = re.compile(r"^(vllm:[a-z_]+)(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.M)


def read_metrics(page: str) -> Mapping[str, float]:
    """Every ``vllm:`` value by its name without the prefix, summed over engines and models."""
    found: dict[str, float] = {}
    for match in _LINE.finditer(page):
        name = match[1].removeprefix("vllm:")
        found[name] = found.get(name, 0.0) + float(match[2])
    return found
