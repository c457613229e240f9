"""Which continuation mode is used: the one asked for, or the first of the service's that is proven to work.

``auto`` spends at most one request of 16 tokens a mode on it. Raw completions need no proof: they continue by
definition. ``instruct`` is never chosen.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from tessy.errors import (
    BackendRejected,
    BackendUnavailable,
    ConfigError,
)
from tessy.formats import ChatFormat, detect, load_template
from tessy.remote.starting import insist
from tessy.seeds import derive
from tessy.tokens.files import ModelFiles, load_model_files
from tessy.types import Prompt, Request, Span, Turn
from tessy_openai.client import Clients
from tessy_openai.events import read_chat
from tessy_openai.modes import CHAT, COMPLETIONS, View, chat_body
from tessy_openai.options import Mode, OpenAIOptions
from tessy_openai.services import Service

__all__ = ["Choice", "choose", "probe_cost"]

_TOKENS = 16
_TEMPLATE = 256
"""Tokens that a chat template puts around a prompt: more than most do."""
_RAW, _RAW_TOKENS = "1 2 3 4 5 6 7", 2
_NUMBER = "48213"
_BEGUN = (
    f"The number to remember is {_NUMBER}. Once more, to be sure: the number to remember is {_NUMBER[:2]}"
)
_QUESTION = Prompt.user("Think about the number to remember, then say it.")


@dataclass(frozen=True)
class Choice:
    """A mode, why it, and what it works with."""

    mode: Mode
    why: str
    files: ModelFiles | None
    format: ChatFormat | None


def probe_cost(options: OpenAIOptions, service: Service) -> int:
    """Tokens that `choose` spends at most."""
    if options.continuation != "auto":
        return 0
    # A character is at most a token; the service puts its template around the text.
    chat = len(_QUESTION.messages[0].content) + len(_BEGUN) + _TEMPLATE + _TOKENS
    raw = len(_RAW) + _RAW_TOKENS
    return sum(raw if mode in ("token-ids", "text") else chat for mode in service.modes)


async def choose(
    what: str, model: str, options: OpenAIOptions, clients: Clients, url: str, service: Service, root: str
) -> Choice:
    """The continuation mode for a model of a service.

    Raises:
        ConfigError: the one asked for lacks something; says what.
    """
    files, problem = await asyncio.to_thread(_files, options, model, root)
    format = _format(options, files)
    if options.continuation != "auto":
        mode: Mode = options.continuation
        _require(what, mode, files, format, problem)
        return Choice(mode, "asked for", files, format)
    tried = []
    for mode in service.modes:
        if mode in ("token-ids", "text"):
            if mode == "token-ids" and files is None:
                tried.append(f"token-ids: no tokenizer ({problem})")
            elif format is None:
                tried.append(f"{mode}: no chat template; give one with template=")
            elif why := await _completes(
                what, clients, url, model, options, service, files if mode == "token-ids" else None
            ):
                tried.append(f"{mode}: {why}")
            else:
                return Choice(mode, f"{service.name}: raw completions", files, format)
        elif why := await _continues(what, clients, url, model, options, service, mode):
            tried.append(f"{mode}: {why}")
        else:
            return Choice(
                mode, f"{service.name}: probed, it goes on from the middle of a word", files, format
            )
    why = "; ".join(tried) or f"{service.name} documents no way to continue a text"
    return Choice("none", why, files, format)


def _files(options: OpenAIOptions, model: str, root: str) -> tuple[ModelFiles | None, str]:
    """The model's tokenizer if it can be had without being asked for, and why not."""
    if options.tokenizer:
        return load_model_files(options.tokenizer), ""
    problem = "name it with tokenizer="
    if options.continuation in ("auto", "token-ids"):
        for source in dict.fromkeys([root, model]):
            if source.count("/") < 1:
                continue
            try:
                return load_model_files(source), ""
            except ConfigError as error:
                problem = str(error)
    return None, problem


def _format(options: OpenAIOptions, files: ModelFiles | None) -> ChatFormat | None:
    if files is not None and (options.template or files.template):
        return files.format(options.template)
    if options.template:
        return detect(load_template(options.template), name=options.template)
    return None


def _require(
    what: str, mode: Mode, files: ModelFiles | None, format: ChatFormat | None, problem: str
) -> None:
    if mode == "token-ids" and files is None:
        raise ConfigError(f"{what}: continuation=token-ids needs the model's tokenizer: {problem}")
    if mode in ("token-ids", "text") and format is None:
        raise ConfigError(
            f"{what}: continuation={mode} needs the model's chat template: template= names a Jinja file or a "
            "built-in one, tokenizer= a model folder or hub id that has it"
        )


async def _completes(
    what: str,
    clients: Clients,
    url: str,
    model: str,
    options: OpenAIOptions,
    service: Service,
    files: ModelFiles | None,
) -> str:
    """Why the service does not complete a raw prompt; empty if it does."""
    prompt: Any = _RAW if files is None else files.codec.encode(_RAW)
    body = {"model": model, "prompt": prompt, "max_tokens": _RAW_TOKENS, **service.raw, **options.extra}
    try:
        answer = await insist(
            partial(clients.ask, url, COMPLETIONS, body), what=what, seconds=options.first_token_timeout
        )
    except BackendRejected as error:
        return str(error)
    choices = answer.get("choices") if isinstance(answer, dict) else None
    return "" if choices else "its /completions answers without choices"


async def _continues(
    what: str, clients: Clients, url: str, model: str, options: OpenAIOptions, service: Service, mode: Mode
) -> str:
    """Why the service does not go on from a begun thinking; empty if it does."""
    span = Span("other", "think", _BEGUN, 0, 0)
    request = Request(Turn("probe", "think", max_tokens=_TOKENS), (span,), derive("probe"))
    body = chat_body(View(what, _QUESTION, request, ()), mode, service)
    body |= {"model": model, service.limit_field: _TOKENS, "temperature": 0, **options.extra}

    async def said() -> str:
        came, empty = "", True
        async with aclosing(clients.stream(url, CHAT, body)) as events:
            async for event in events:
                empty = False
                delta = read_chat(event)
                came += delta.reasoning or delta.text
        if empty:
            raise BackendUnavailable(f"{what}: the answer to a probe was no stream of events")
        return came

    try:
        came = await insist(said, what=what, seconds=options.first_token_timeout)
    except BackendRejected as error:
        return str(error)
    return "" if came.startswith(_NUMBER[2:]) else f"it does not go on from the middle: it said {came[:40]!r}"
