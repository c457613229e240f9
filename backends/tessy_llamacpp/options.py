"""Options of backend ``llamacpp``."""

from __future__ import annotations

from pydantic import Field

from tessy.abc import Options

__all__ = ["LlamaCppOptions", "Sampling"]


class Sampling(Options):
    """How tokens are drawn; what is not given comes from the model's file, else from these defaults."""

    temperature: float = Field(default=0.6, ge=0, description="0: always the likeliest token")
    top_k: int = Field(default=20, ge=0, description="draw from the k likeliest tokens; 0: from all")
    top_p: float = Field(
        default=0.95, gt=0, le=1, description="draw from the likeliest tokens that have this mass"
    )
    min_p: float = Field(
        default=0.0, ge=0, le=1, description="drop tokens below this share of the likeliest one's p"
    )
    repeat_penalty: float = Field(default=1.0, gt=0, description="above 1: recent tokens become less likely")
    frequency_penalty: float = Field(default=0.0, description="by how often a token was seen recently")
    presence_penalty: float = Field(default=0.0, description="by whether a token was seen recently")
    penalty_last_n: int = Field(default=64, ge=0, description="how many tokens count as recent")


class LlamaCppOptions(Options):
    """Options of backend ``llamacpp``."""

    n_ctx: int | None = Field(
        default=None,
        ge=16,
        description="tokens of context per trajectory; default: the model's own, at most 8192",
    )
    parallel: int = Field(default=32, ge=1, le=256, description="trajectories whose KV cache is kept at once")
    batch: int = Field(default=512, ge=8, description="tokens decoded in one call at most")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads; default: one for small models, else all cores"
    )
    gpu_layers: int = Field(
        default=-1, ge=-1, description="layers on the GPU, if llama.cpp was built for one; -1: all"
    )
    kv_unified: bool | None = Field(
        default=None,
        description="one KV pool for all trajectories in place of equal shares; default: on the CPU, where "
        "the model is not small and n_ctx × parallel is at most 65,536",
    )
    ahead: int = Field(default=1, ge=1, description="tokens a trajectory may be ahead of its reader")
    template: str | None = Field(
        default=None, description="chat template: a file or a built-in name; default: the model's own"
    )
    temperature: float | None = Field(
        default=None, ge=0, description="see the model's own default; 0: always the likeliest"
    )
    top_k: int | None = Field(default=None, ge=0, description="draw from the k likeliest tokens; 0: from all")
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="draw from the likeliest tokens that have this mass"
    )
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="drop tokens below this share of the likeliest one's p"
    )
    repeat_penalty: float | None = Field(
        default=None, gt=0, description="above 1: recent tokens become less likely"
    )
    frequency_penalty: float | None = Field(
        default=None, description="by how often a token was seen recently"
    )
    presence_penalty: float | None = Field(default=None, description="by whether a token was seen recently")
    penalty_last_n: int | None = Field(default=None, ge=0, description="how many tokens count as recent")
