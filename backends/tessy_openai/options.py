"""Options of backend ``openai``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tessy.remote import RemoteOptions

__all__ = ["MODES", "SAMPLING", "Mode", "OpenAIOptions"]

Mode = Literal[
    "token-ids", "text", "prefix", "continue-final-message", "trailing-assistant", "instruct", "none"
]
"""How a service is made to go on from a text that somebody began; ``none``: not at all."""
MODES: tuple[Mode, ...] = (
    "token-ids", "text", "prefix", "continue-final-message", "trailing-assistant", "instruct", "none",
)  # fmt: skip


class OpenAIOptions(RemoteOptions):
    """Options of backend ``openai``."""

    continuation: Literal[
        "auto",
        "token-ids",
        "text",
        "prefix",
        "continue-final-message",
        "trailing-assistant",
        "instruct",
        "none",
    ] = Field(
        default="auto",
        description="how the service goes on from a text somebody began; instruct is never chosen by auto",
    )
    service: str | None = Field(
        default=None,
        description="which service it is, where the URL does not tell (a gateway): deepseek, vllm, …",
    )
    temperature: float | None = Field(default=None, ge=0, description="default: the service's")
    top_p: float | None = Field(default=None, gt=0, le=1, description="default: the service's")
    top_k: int | None = Field(default=None, description="sent only if given: not every service knows it")
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="sent only if given: not every service knows it"
    )
    repetition_penalty: float | None = Field(
        default=None, gt=0, description="sent only if given: not every service knows it"
    )
    frequency_penalty: float | None = Field(default=None, description="default: the service's")
    presence_penalty: float | None = Field(default=None, description="default: the service's")
    reasoning_effort: str | None = Field(default=None, description="sent only if given, in chat modes")
    top_logprobs: int | None = Field(
        default=None,
        ge=0,
        description="alternatives a token the service reports; default: what is known of it",
    )
    context: int | None = Field(
        default=None, ge=16, description="its context in tokens, if it does not say itself"
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="tokens of one answer at most, where the service has such a limit"
    )
    extra: dict[str, Any] = Field(
        default_factory=dict,
        description='further fields of every request, as JSON: {"provider": {"order": ["…"]}}; '
        'null takes one of ours out: {"seed": null}',
    )


SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
)
"""Options that are fields of a request under the same name."""
