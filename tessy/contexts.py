"""What does not fit into the models' contexts: said before it costs anything."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from tessy.boundary import plugin
from tessy.crew import Crew
from tessy.limits import Limits
from tessy.types import Role

__all__ = ["contexts", "narrow", "warn_narrow"]

log: logging.Logger = logging.getLogger(__name__)


def contexts(crew: Crew) -> dict[Role, int]:
    """Tokens of a trace, its prompt included, that each model can hold; without those that do not say.

    Good once the backends are started.
    """
    found: dict[Role, int] = {}
    for role, backend in crew.backends.items():
        with plugin(crew.origins[role], "capabilities"):
            context = backend.capabilities.context
        if context is not None:
            found[role] = context
    return found


def narrow(known: Mapping[Role, int], limits: Limits) -> str | None:
    """What is to be said of the smallest context, if it is smaller than ``--max-length``."""
    size = min(known.values(), default=limits.max_length)
    if size >= limits.max_length:
        return None
    whose = " and ".join(role for role in known if known[role] == size)
    return (
        f"the context of {whose} is {size:,} tokens, less than --max-length {limits.max_length:,}: rows "
        f"longer than {size:,} tokens, prompt included, will fail; raise n_ctx= or max_model_len= of the "
        "model, or lower --max-length"
    )


def warn_narrow(crews: Iterable[tuple[Crew, Limits]]) -> None:
    """Log it for all crews, each thing once, where somebody has asked for traces of some length.

    The default is longer than many contexts, and few traces are as long as either: not every run is to begin
    with a warning. A dry run always says it.
    """
    asked = [one for one in crews if one[1].max_length != Limits().max_length]
    for text in dict.fromkeys(narrow(contexts(crew), limits) for crew, limits in asked):
        if text is not None:
            log.warning("%s", text)
