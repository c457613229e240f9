"""The fields of vLLM's completions API (``vllm/entrypoints/openai/completion/protocol.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tessy.errors import BackendRejected, BackendUnavailable
from tessy.types import TokenLogprob
from tessy_vllm.engine import Job, Step

__all__ = ["completion_body", "read_scores", "read_step"]

_FINISH: dict[str, Literal["stop", "length"]] = {"stop": "stop", "length": "length", "repetition": "length"}
"""Any other (``abort``: the server shuts down; ``error``) is a failure: asked for again."""


def completion_body(model: str, job: Job) -> dict[str, Any]:
    """The request for a job: ids in, ids out; the prompt as the job holds it."""
    body: dict[str, Any] = {
        **job.sampling,
        "model": model,
        "prompt": job.prompt,
        "max_tokens": job.max_tokens,
        "stop_token_ids": sorted(job.stops),
        "seed": job.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
    }
    if job.top:
        body["logprobs"] = job.top
    return body


def read_step(what: str, events: Sequence[Any], top: int) -> Step:
    """Several events as one step.

    Raises:
        BackendUnavailable: the server reports a failure in the stream, or its events are none.
        BackendRejected: it sends no token ids: it is no vLLM, or an old one.
    """
    step = Step(logprobs=[] if top else None)
    try:
        _read_events(what, events, step, top)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise BackendUnavailable(f"{what}: the server sent an event that cannot be read: {error}") from error
    return step


def _read_events(what: str, events: Sequence[Any], step: Step, top: int) -> None:
    for event in events:
        if "error" in event:
            error = event["error"]
            message = error.get("message", error) if isinstance(error, dict) else error
            raise BackendUnavailable(f"{what}: the server reports: {message}")
        if (usage := event.get("usage")) is not None:
            step.cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        for choice in event.get("choices") or ():
            _read_choice(what, choice, step, top)


def _read_choice(what: str, choice: Mapping[str, Any], step: Step, wanted: int) -> None:
    ids = choice.get("token_ids")
    if ids is None and choice.get("text"):
        raise BackendRejected(
            f"{what}: the server does not return token ids; vllm: needs vLLM 0.10.2 or newer, other servers "
            "are spoken to with openai:MODEL@URL"
        )
    step.tokens += ids or ()
    if step.logprobs is not None and (found := choice.get("logprobs")) is not None:
        own, top = found["token_logprobs"], found.get("top_logprobs") or [None] * len(found["token_logprobs"])
        step.logprobs += [
            TokenLogprob(logprob, None, _best(best or {}, wanted))
            for logprob, best in zip(own, top, strict=True)
        ]
    if (reason := choice.get("finish_reason")) is not None:
        if reason not in _FINISH:
            raise BackendUnavailable(f"{what}: the server ended the stream for its own reason: {reason!r}")
        step.finish = _FINISH[reason]


def _best(entries: Mapping[str, float], top: int) -> tuple[tuple[str, float], ...]:
    """The likeliest ``top``; vLLM adds the drawn token where it is none of them."""
    return tuple(sorted(entries.items(), key=lambda entry: -entry[1])[:top])


def read_scores(what: str, answer: Any, prompt: Sequence[int], start: int, top: int) -> list[TokenLogprob]:
    """``prompt_logprobs``: one object a prompt token, by id; the first has none.

    Raises:
        BackendUnavailable: the answer is no completion: a page of whatever stands in front of the server.
        BackendRejected: it has none: the server cannot score.
    """
    if not isinstance(answer, Mapping) or "choices" not in answer:
        raise BackendUnavailable(f"{what}: the server answers without choices: {str(answer)[:80]!r}")
    try:
        entries = answer["choices"][0]["prompt_logprobs"]
        return [
            _score(entry, token, top) for token, entry in zip(prompt[start:], entries[start:], strict=True)
        ]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BackendRejected(f"{what}: the server returns no prompt_logprobs: it cannot score") from error


def _score(entry: Mapping[str, Any], token: int, top: int) -> TokenLogprob:
    own = entry[str(token)]
    best = sorted(entry.values(), key=lambda one: one["rank"])[:top]
    return TokenLogprob(
        own["logprob"], own["rank"], tuple((one["decoded_token"] or "", one["logprob"]) for one in best)
    )
