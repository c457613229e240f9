"""The events of both streaming APIs as one kind of value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tessy.types import TokenLogprob

__all__ = ["Delta", "read_chat", "read_completion"]


@dataclass(frozen=True, slots=True)
class Delta:
    """What one event brings.

    Attributes:
        text: of the completion, or of the message's content.
        reasoning: thinking that the service sends apart from the content.
        ids, logprobs: of the tokens, where the service shows them.
        listed: the ids are those that stand beside log-probabilities (llama-server): see `ListedTokens`.
        finish: why it ended, in the service's word, in small letters.
        refusal: what the model says in place of an answer.
        cached, prompt, generated: tokens as the service counts them, in one of the last events.
    """

    text: str = ""
    reasoning: str = ""
    ids: tuple[int, ...] | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    listed: bool = False
    finish: str | None = None
    refusal: str = ""
    cached: int | None = None
    prompt: int | None = None
    generated: int | None = None


def read_completion(event: Mapping[str, Any], top: int = 0) -> Delta:
    """An event of ``/completions``."""
    choice = _choice(event)
    ids = choice.get("token_ids")
    found = choice.get("logprobs") if top else None
    if not isinstance(ids, list) and isinstance(found, Mapping) and isinstance(found.get("content"), list):
        return _listed(event, choice, found["content"], top)
    return Delta(
        text=choice.get("text") or "",
        ids=tuple(ids) if isinstance(ids, list) else None,
        logprobs=_logprobs(found, top),
        finish=_finish(choice),
        **_usage(event),
    )


def _listed(
    event: Mapping[str, Any], choice: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], top: int
) -> Delta:
    """An event with the chat API's entries, one a token, to which llama-server adds the ids."""
    return Delta(
        text=choice.get("text") or "",
        ids=tuple(entry["id"] for entry in entries) if all("id" in entry for entry in entries) else None,
        logprobs=tuple(TokenLogprob(_number(entry), None, _best(entry, top)) for entry in entries),
        listed=True,
        finish=_finish(choice),
        **_usage(event),
    )


def _best(entry: Mapping[str, Any], top: int) -> tuple[tuple[str, float], ...]:
    found = [(str(one.get("token")), _number(one)) for one in entry.get("top_logprobs") or ()]
    return tuple(sorted(found, key=lambda one: -one[1])[:top])


def _number(entry: Mapping[str, Any]) -> float:
    logprob = entry.get("logprob")
    return float("-inf") if logprob is None else float(logprob)


def read_chat(event: Mapping[str, Any]) -> Delta:
    """An event of ``/chat/completions``.

    Thinking comes as ``reasoning_content`` (DeepSeek, vLLM, llama-server), as ``reasoning`` (OpenRouter,
    Groq), or as chunks of type ``thinking`` in the content (Mistral).
    """
    choice = _choice(event)
    delta = choice.get("delta")
    delta = delta if isinstance(delta, Mapping) else {}
    reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
    content = delta.get("content") or ""
    if isinstance(content, list):
        chunks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in content]
        reasoning += "".join(_inner(chunk) for chunk in chunks if chunk.get("type") == "thinking")
        content = "".join(str(chunk.get("text") or "") for chunk in chunks if chunk.get("type") == "text")
    return Delta(
        text=str(content),
        reasoning=str(reasoning),
        finish=_finish(choice),
        refusal=str(delta.get("refusal") or ""),
        **_usage(event),
    )


def _choice(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first choice: somebody's ``extra=`` may ask for several, and their events come mixed."""
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, Mapping) and not choice.get("index"):
            return choice
    return {}


def _finish(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return str(reason).lower() if reason else None


def _inner(chunk: Mapping[str, Any]) -> str:
    inner = chunk.get("thinking")
    if isinstance(inner, list):
        return "".join(str(one.get("text") or "") for one in inner if isinstance(one, Mapping))
    return inner if isinstance(inner, str) else ""


def _usage(event: Mapping[str, Any]) -> dict[str, Any]:
    usage = event.get("usage")
    if not isinstance(usage, Mapping):
        return {}
    details = usage.get("prompt_tokens_details")
    told = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return {
        "cached": _count(usage.get("prompt_cache_hit_tokens") if told is None else told),
        # Where there is a text there are tokens: some write zeros until the end.
        "prompt": _count(usage.get("prompt_tokens")) or None,
        "generated": _count(usage.get("completion_tokens")) or None,
    }


def _count(value: Any) -> int | None:
    """A number of tokens; ``None`` for what cannot be one."""
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 1 << 53 else None


def _logprobs(found: Any, top: int) -> tuple[TokenLogprob, ...] | None:
    """The completions API's parallel lists."""
    if not isinstance(found, Mapping) or not isinstance(found.get("token_logprobs"), list):
        return None
    own = found["token_logprobs"]
    best = found.get("top_logprobs") or [None] * len(own)
    return tuple(
        TokenLogprob(
            float("-inf") if logprob is None else logprob,
            None,
            tuple(sorted((entries or {}).items(), key=lambda entry: -entry[1])[:top]),
        )
        for logprob, entries in zip(own, best, strict=False)
    )
