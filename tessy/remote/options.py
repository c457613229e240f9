"""Options that every backend behind a URL has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tessy.abc import Options

__all__ = ["RemoteOptions"]


class RemoteOptions(Options):
    """Key, chat format and limits of a remote backend."""

    api_key_env: str | None = Field(default=None, description="environment variable that holds the key")
    api_key_file: str | None = Field(
        default=None, description="file that holds the key, readable by its owner alone"
    )
    template: str | None = Field(
        default=None, description="chat template: a Jinja file, a model folder or a built-in name"
    )
    tokenizer: str | None = Field(
        default=None, description="model folder or hub id whose tokenizer is the service's"
    )
    max_concurrency: int = Field(default=512, ge=1, description="requests at once to each URL, at most")
    rpm: int | None = Field(default=None, ge=1, description="requests a minute, all URLs together")
    tpm: int | None = Field(default=None, ge=1, description="tokens a minute, all URLs together")
    limit: Literal["auto", "adaptive", "none"] = Field(
        default="auto",
        description="tokens of a request; adaptive: little more than spans were long so far, for services "
        "that stop late or bill all that was asked for; auto: adaptive for hosted services",
    )
    ask_ahead: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="ask it for a turn while the last words of the turn before settle; auto: servers of "
        "one's own that stop at once",
    )
    kv_tokens: int | Literal["auto", "none"] = Field(
        default="auto",
        description="tokens that the KV memory of all URLs holds: trajectories wait rather than evict each "
        "other; auto: what the engine says; none or 0: no such bound",
    )
    connect_timeout: float = Field(default=10, gt=0, description="seconds to connect")
    first_token_timeout: float = Field(
        default=300,
        gt=0,
        description="seconds from a request to its first token, the server's queue included",
    )
    token_timeout: float = Field(default=120, gt=0, description="seconds between two tokens")
    patience: float = Field(
        default=600, gt=0, description="seconds that no URL works before the run stops, to be resumed later"
    )

    def asked_ahead(self, auto: bool) -> bool:
        """What `Capabilities.ahead` is to be, where ``auto`` is right for the engine by itself."""
        return self.ask_ahead == "on" or (self.ask_ahead == "auto" and auto)

    def kv_budget(self, said: int | None) -> int | None:
        """What `Capabilities.kv_tokens` is to be, where the engine ``said`` so much of itself."""
        if self.kv_tokens == "auto":
            return said
        return None if self.kv_tokens == "none" or self.kv_tokens <= 0 else self.kv_tokens
