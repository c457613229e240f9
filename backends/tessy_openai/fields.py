"""Fields that all requests to a service have, those of the start included: what it refuses shows there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tessy_openai.options import SAMPLING, Mode, OpenAIOptions
from tessy_openai.services import Service

__all__ = ["common", "sampling", "with_extra"]


def sampling(options: OpenAIOptions) -> dict[str, Any]:
    """The sampling options that are given."""
    return {name: value for name in SAMPLING if (value := getattr(options, name)) is not None}


def common(service: Service, mode: Mode, seed: int) -> dict[str, Any]:
    """What a service is told with every request in a mode."""
    fields: dict[str, Any] = {}
    if service.stream_options:
        told = {"include_usage": True}
        if service.tells and mode != "token-ids":
            told["continuous_usage_stats"] = True  # a stream that is aborted has no end to tell it at
        fields["stream_options"] = told
    if service.seed_field is not None:
        # Services read it as a signed number of 32 bits, some refuse a longer one.
        fields[service.seed_field] = seed % (1 << 31)
    return fields


def with_extra(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """A request with the user's own fields: they replace ours, and ``None`` takes one out."""
    return {name: value for name, value in {**body, **extra}.items() if extra.get(name, value) is not None}
