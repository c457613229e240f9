"""How much memory a KV cache takes, asked before llama.cpp takes it: the kernel kills, it does not refuse."""

from __future__ import annotations

from pathlib import Path

import llama_cpp as lib

from tessy.errors import BackendError

__all__ = ["check_memory"]


def check_memory(model: str, handle: lib.llama_model_p, n_ctx: int, parallel: int) -> None:
    """Refuse a context that cannot fit into the memory that is free now.

    Raises:
        BackendError: it does not fit; names the options to lower.
    """
    tokens = n_ctx * parallel
    width = (
        lib.llama_model_n_embd(handle) * lib.llama_model_n_head_kv(handle) // lib.llama_model_n_head(handle)
    )
    # Keys and values of 16 bits, a lower bound where the head is wider than embedding / heads.
    needed = tokens * lib.llama_model_n_layer(handle) * width * 2 * 2
    free = _free()
    too_many = tokens >= 1 << 32
    if too_many or (free is not None and needed > free and not lib.llama_supports_gpu_offload()):
        raise BackendError(
            f"{model}: a context of {parallel} × {n_ctx} tokens takes {needed / 2**30:,.1f} GiB"
            + (f", {free / 2**30:,.1f} GiB are free" if free is not None else "")
            + "; lower n_ctx= or parallel="
        )


def _free() -> int | None:
    """Bytes that may be taken, where the system tells."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
