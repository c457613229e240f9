"""What is known of services: how each continues a text, and what it calls things.

From their own documentation: DeepSeek "Create chat completion" (``prefix``, base URL ``/beta``), Mistral's
client (``prefix``, thinking chunks), Groq "Prefilling", OpenRouter "Assistant prefill", Together and
DeepInfra "Completions", Fireworks "Completions" (token ids), OpenAI's API reference (nothing of the kind for
chat), Text Generation Inference's chat template code, vLLM's and llama.cpp's servers. A service that is not
listed is asked and probed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from tessy.errors import ConfigError
from tessy_openai.options import Mode

__all__ = ["DEFAULT_URL", "UNKNOWN", "Service", "known_service", "named_service", "served_by"]

DEFAULT_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Service:
    """What to expect of a service.

    Attributes:
        name: for messages.
        modes: ways of continuing, best first; the first that fits is taken.
        verbatim: the prompt of ``/completions`` reaches the model as it is; else that must be seen first.
        separates: it sends the thinking apart from the answer; ``None``: seen when it does.
        limit_field: the name of the field that limits an answer's length in chat.
        seed_field: the name of the field with the seed; ``None``: it has none.
        top_logprobs: alternatives a token.
        lists_all: what is not in its list of models does not exist: so it is at servers of one's own. Hosted
            services list other names than they take (deployments, routes, aliases).
        key_env: where its key usually is.
        raw: fields of every raw completion: what brings token ids, and control strings if they come as text.
        stops: it stops generating at once when nobody reads, and bills nobody for what it would have written.
        stream_options: it knows that field, with which others are asked for their usage.
        tells: it counts tokens in every event of a stream if asked to (``continuous_usage_stats``).
        reasoning: how a chat prefix carries unfinished thinking: in ``content`` between marks, in a
            ``reasoning_content`` of its own, or as a list of ``thinking`` chunks.
    """

    name: str
    modes: tuple[Mode, ...] = ()
    verbatim: bool = True
    separates: bool | None = None
    limit_field: str = "max_tokens"
    seed_field: str | None = "seed"
    top_logprobs: int = 0
    lists_all: bool = False
    key_env: str | None = "OPENAI_API_KEY"
    stops: bool = False
    stream_options: bool = True
    tells: bool = False
    reasoning: str = "content"
    raw: Mapping[str, Any] = field(
        default_factory=lambda: {
            "return_token_ids": True,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
        }
    )


_TOGETHER = Service("Together", ("text",), top_logprobs=20, key_env="TOGETHER_API_KEY", raw={})
_HOSTED: dict[str, Service] = {
    "api.openai.com": Service(
        "OpenAI", (), limit_field="max_completion_tokens", top_logprobs=20, separates=True
    ),
    "api.deepseek.com": Service(
        "DeepSeek",
        ("prefix",),
        separates=True,
        seed_field=None,
        top_logprobs=20,
        key_env="DEEPSEEK_API_KEY",
        reasoning="reasoning_content",
    ),
    "api.mistral.ai": Service(
        "Mistral",
        ("prefix",),
        seed_field="random_seed",
        stream_options=False,  # it tells its usage unasked, and refuses fields that it does not know
        key_env="MISTRAL_API_KEY",
        reasoning="chunks",
    ),
    # It refuses fields that it does not know.
    "generativelanguage.googleapis.com": Service(
        "Gemini", ("trailing-assistant",), seed_field=None, key_env="GEMINI_API_KEY"
    ),
    "api.groq.com": Service("Groq", ("trailing-assistant",), key_env="GROQ_API_KEY"),
    "openrouter.ai": Service("OpenRouter", ("trailing-assistant",), key_env="OPENROUTER_API_KEY"),
    "api.together.ai": _TOGETHER,
    "api.together.xyz": _TOGETHER,
    "api.fireworks.ai": Service(
        "Fireworks",
        ("token-ids", "text"),
        top_logprobs=5,
        key_env="FIREWORKS_API_KEY",
        raw={"return_token_ids": True},
    ),
    "api.deepinfra.com": Service("DeepInfra", ("text",), top_logprobs=5, key_env="DEEPINFRA_API_KEY", raw={}),
}
_OWNED: dict[str, Service] = {
    "vllm": Service(
        "vLLM",
        ("token-ids", "text", "continue-final-message"),
        top_logprobs=20,
        lists_all=True,
        key_env=None,
        stops=True,
        tells=True,
    ),
    "sglang": Service(
        "SGLang",
        ("token-ids", "text", "continue-final-message"),
        top_logprobs=5,
        lists_all=True,
        key_env=None,
        stops=True,
        tells=True,
    ),
    "llamacpp": Service(
        "llama-server",
        ("token-ids", "text", "continue-final-message"),
        top_logprobs=10,
        lists_all=True,
        key_env=None,
        stops=True,
        reasoning="reasoning_content",
        separates=True,
    ),
    # Its /completions puts the model's template around the prompt, so raw text is not what it seems.
    "library": Service("Ollama", ("trailing-assistant",), lists_all=True, key_env=None, stops=True),
}
UNKNOWN = Service(
    "unknown service",
    ("token-ids", "text", "continue-final-message", "trailing-assistant"),
    verbatim=False,
    key_env=None,
)
"""One that is not known, or not yet: it has all the ways that those of `served_by` have."""


def named_service(name: str) -> Service:
    """The service that ``service=`` names.

    Raises:
        ConfigError: there is none of that name; lists those there are.
    """
    services = {one.name.lower(): one for one in (*_HOSTED.values(), *_OWNED.values())}
    if name.lower() not in services:
        near = get_close_matches(name.lower(), services, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"service={name}: not one of {', '.join(sorted(services))}{hint}")
    return services[name.lower()]


def known_service(url: str) -> Service | None:
    """The hosted service at that URL, if it is known."""
    host = urlsplit(url).hostname or ""
    for name, service in _HOSTED.items():
        if host == name or host.endswith("." + name):
            return service
    return None


def served_by(owner: str) -> Service:
    """A server of one's own, by what its list of models calls their owner."""
    return _OWNED.get(owner.lower().replace(".", "").replace("-", ""), UNKNOWN)
