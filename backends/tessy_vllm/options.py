"""Options of backend ``vllm``: sampling, where the tokenizer is, limits of a server; all else is vLLM's."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from tessy.remote import RemoteOptions

__all__ = ["SAMPLING", "VllmOptions"]


class VllmOptions(RemoteOptions):
    """Options of backend ``vllm``.

    In process, every other option goes to the engine as vLLM's own engine arguments have it
    (``gpu_memory_utilization=0.45``, ``max_model_len=32768``, ``tensor_parallel_size=2``, …).
    """

    model_config = ConfigDict(extra="allow")

    temperature: float | None = Field(
        default=None, ge=0, description="default: the model's recommendation; 0: always the likeliest token"
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="draw from the likeliest tokens that have this mass"
    )
    top_k: int | None = Field(
        default=None, ge=-1, description="draw from the k likeliest tokens; 0: from all"
    )
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="drop tokens below this share of the likeliest one's p"
    )
    repetition_penalty: float | None = Field(
        default=None, gt=0, description="above 1: tokens seen before become less likely"
    )
    frequency_penalty: float | None = Field(default=None, description="by how often the turn has a token")
    presence_penalty: float | None = Field(default=None, description="by whether the turn has a token")
    revision: str | None = Field(default=None, description="branch, tag or commit of a hub model")
    max_logprobs: int = Field(
        default=20, ge=0, description="alternatives a token that the engine may be asked for"
    )

    @property
    def engine(self) -> dict[str, Any]:
        """What is meant for the engine."""
        return dict(self.model_extra or {})


SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
)
"""Options that are sampling parameters under the same name, in process and over HTTP."""
