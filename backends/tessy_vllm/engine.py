"""What a session asks of an engine, in this process or behind a URL: tokens in, tokens out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tessy.remote.asked import Asked
from tessy.tokens.files import ModelFiles
from tessy.types import TokenLogprob

__all__ = ["Engine", "EngineInfo", "Job", "Step"]


@dataclass(frozen=True, slots=True)
class Job:
    """One generation.

    Attributes:
        prompt: token ids to go on from.
        max_tokens: at most this many.
        stops: token ids that end it besides the model's own.
        sampling: parameters by vLLM's names; what is missing is the model's recommendation.
        seed: of this request.
        top: alternatives wanted for each token; 0: no log-probabilities.
        key: the trajectory, for the choice of a replica.
        asked: told where it is.
    """

    prompt: Sequence[int]
    max_tokens: int
    stops: frozenset[int]
    sampling: Mapping[str, Any]
    seed: int
    top: int
    key: str
    asked: Asked = field(default_factory=Asked)


@dataclass(slots=True)
class Step:
    """What has come since the last one.

    Attributes:
        tokens: generated ids, a stop token among them.
        logprobs: parallel to ``tokens`` if asked for.
        cached: prompt tokens taken from the prefix cache, once known.
        finish: why it ended, in the last step that has tokens.
        drained: it comes after the end and brings only ``cached``.
    """

    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None
    cached: int | None = None
    finish: Literal["stop", "length", "aborted"] | None = None
    drained: bool = False


@dataclass(frozen=True)
class EngineInfo:
    """What is known once an engine is up.

    Attributes:
        files: tokenizer, template, recommendations.
        context: tokens a sequence may have.
        max_active: sequences it decodes at once.
        kv_tokens: tokens that its KV memory holds; ``None``: it does not say.
        sampling: sampling in force for what no option says, as far as it is known.
    """

    files: ModelFiles
    context: int
    max_active: int | None
    sampling: Mapping[str, Any]
    kv_tokens: int | None = None


class Engine(ABC):
    """One vLLM, wherever it runs."""

    @abstractmethod
    async def start(self) -> EngineInfo:
        """Bring it up, or reach it.

        Raises:
            ConfigError: model or option are wrong.
            BackendError: it cannot serve.
        """

    @abstractmethod
    def generate(self, job: Job) -> AsyncGenerator[Step, None]:
        """The tokens of a job as they come. Closing the generator aborts the job on the engine."""

    @abstractmethod
    async def score(self, prompt: Sequence[int], start: int, top: int, key: str) -> list[TokenLogprob]:
        """Log-probability and rank of each token of ``prompt`` from ``start`` on."""

    @abstractmethod
    async def active(self) -> int | None:
        """Generations it works on or has in its queue; ``None``: it does not say."""

    def facts(self) -> Mapping[str, Any]:
        """For people: servers and what has happened at them."""
        return {}

    def forget(self, key: str) -> None:
        """The trajectory is over."""
        return None

    @abstractmethod
    async def close(self) -> None:
        """Leave nothing behind. Idempotent."""
