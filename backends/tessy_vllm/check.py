"""What is asked of a server before any prompt is spent."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from tessy.errors import BackendRejected, ConfigError, TessyError
from tessy.tokens.files import ModelFiles
from tessy.types import Prompt
from tessy_vllm.http import Http

__all__ = ["check_template", "check_vocabulary", "served"]

log = logging.getLogger(__name__)

_PROBE = (
    "Hmm, wait. 12345 + 678 = 13,023?\n\n  def f(x): return [x, '\u00e9\u4e2d\U0001f389']\t# \\frac{1}{2}"
)


async def served(http: Http, url: str, model: str) -> Mapping[str, Any]:
    """What the server says of the model it serves under that name.

    Raises:
        ConfigError: it refuses us, serves other models, or does not speak this API.
        BackendUnavailable: it cannot be reached.
    """
    try:
        answer = await http.get_json(f"{url}/v1/models")
    except BackendRejected as error:
        raise ConfigError(f"{error}; is {url} the root of a vLLM server?") from error
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise ConfigError(f"vllm:{model}: {url} does not speak vLLM's API: /v1/models lists no models")
    models = {str(entry.get("id")): entry for entry in entries if isinstance(entry, dict)}
    if model not in models:
        near = get_close_matches(model, models, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"vllm:{model}: {url} serves no such model{hint} (it serves {', '.join(models) or 'none'})"
        )
    found: Mapping[str, Any] = models[model]
    return found


async def check_vocabulary(http: Http, url: str, model: str, files: ModelFiles) -> None:
    """Whether the server's tokens are the local tokenizer's; skipped where it does not say.

    Raises:
        ConfigError: they are not.
        BackendUnavailable, BackendTimeout: it could not say just now.
    """
    body = {"model": model, "prompt": _PROBE, "add_special_tokens": False}
    theirs = await _tokens(http, url, body)
    if theirs is not None and theirs != files.codec.encode(_PROBE):
        raise ConfigError(
            f"vllm:{model}: the tokenizer of {files.source} is not the server's: they make different tokens "
            "of the same text; name the served model's own with tokenizer="
        )


async def check_template(http: Http, url: str, model: str, files: ModelFiles) -> None:
    """Warn if the server renders a prompt in another way than the model's own template here.

    It was started with a template of its own, then; ours decides, since prompts are sent as tokens.

    Raises:
        BackendUnavailable, BackendTimeout: it could not say just now.
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Hello."}],
        "add_generation_prompt": True,
    }
    theirs = await _tokens(http, url, body)
    if theirs is None:
        return
    try:
        pieces = files.format().render(Prompt.user("Hello."), ())
    except TessyError:
        return
    ours = files.codec.encode_control("".join(piece.text for piece in pieces))
    if ours != theirs:
        log.warning(
            "vllm:%s: the server has another chat template than %s; prompts are rendered here, with the "
            "latter. Give the server's with template= if it is the right one.",
            model,
            files.source,
        )


async def _tokens(http: Http, url: str, body: Mapping[str, Any]) -> list[int] | None:
    try:
        answer = await http.post(f"{url}/tokenize", body, seconds=30)
    except BackendRejected:
        return None  # it has no such page
    found = answer.get("tokens") if isinstance(answer, dict) else None
    return found if isinstance(found, list) else None
