"""A server's own gauges, from its Prometheus page (vLLM documents the names under "Metrics")."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["read_kv_tokens", "read_metrics"]

_LINE = re.compile(r"^(vllm:[a-z_]+)(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.M)
_CACHE = re.compile(r"^vllm:cache_config_info\{([^}]*)\} ", re.M)


def read_metrics(page: str) -> Mapping[str, float]:
    """Every ``vllm:`` value by its name without the prefix, summed over engines and models."""
    found: dict[str, float] = {}
    for match in _LINE.finditer(page):
        name = match[1].removeprefix("vllm:")
        found[name] = found.get(name, 0.0) + float(match[2])
    return found


def read_kv_tokens(page: str) -> int | None:
    """Tokens that the KV caches of all its engines hold, from ``vllm:cache_config_info``, if said."""
    total = 0
    for labels in _CACHE.findall(page):
        blocks, size = _label(labels, "num_gpu_blocks"), _label(labels, "block_size")
        if not blocks or not size:
            return None
        total += blocks * size
    return total or None


def _label(labels: str, name: str) -> int | None:
    found = re.search(rf'(?:^|,){name}="([0-9]+)"', labels)
    return int(found[1]) if found else None
