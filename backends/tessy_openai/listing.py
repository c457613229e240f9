"""What a service's list of models says of the one that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from tessy_openai.services import UNKNOWN, Service, served_by

__all__ = ["Listed", "find"]


@dataclass(frozen=True)
class Listed:
    """A model in the list of a service.

    Attributes:
        service: what answers there.
        entry: what the list says of the model.
        doubt: why the service may not have the model, to follow on its URL; empty: the list has it.
    """

    service: Service
    entry: Mapping[str, Any] = field(default_factory=dict)
    doubt: str = ""


def find(model: str, models: Sequence[Mapping[str, Any]] | None, hosted: Service | None) -> Listed:
    """What a list says of a model.

    Args:
        model: its name.
        models: what is listed; ``None``: there is no list.
        hosted: the service, if it is known without its list.
    """
    if models is None:
        return Listed(hosted or UNKNOWN, doubt="has no list of models")
    names = {str(entry.get("id")): entry for entry in models}
    # Ollama takes its names without this tag, Gemini without this folder.
    entry = next(
        (names[name] for name in (model, f"{model}:latest", f"models/{model}") if name in names), None
    )
    if entry is None:
        return Listed(
            hosted or _server(models), doubt=f"lists no model of that name{_near(model, list(names))}"
        )
    return Listed(hosted or _server([entry]), entry)


def _server(models: Sequence[Mapping[str, Any]]) -> Service:
    """The server of one's own that such models belong to."""
    servers = (served_by(str(entry.get("owned_by") or "")) for entry in models)
    return next((one for one in servers if one is not UNKNOWN), UNKNOWN)


def _near(model: str, models: Sequence[str]) -> str:
    near = get_close_matches(model, models, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    shown = ", ".join(sorted(models)[:8])
    return f" (it has {shown}{', …' if len(models) > 8 else ''})" if models else " (it lists none)"
