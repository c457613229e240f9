"""Small requests of the start: whether a service takes the model, and goes on from a text that is begun."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from tessy.errors import BackendRejected, ConfigError
from tessy.remote.starting import insist
from tessy.seeds import derive
from tessy.tokens.files import ModelFiles
from tessy.types import Prompt, Request, Span, Turn
from tessy_openai.client import Clients
from tessy_openai.events import read_chat, read_completion
from tessy_openai.fields import common, sampling, with_extra
from tessy_openai.modes import CHAT, COMPLETIONS, RAW, View, chat_body
from tessy_openai.options import Mode, OpenAIOptions
from tessy_openai.services import Service

__all__ = ["Trial", "trial_cost"]

_TOKENS = 16
_TEMPLATE = 256
"""Tokens that a chat template puts around a prompt: more than most do."""
_NUMBER = "48213"
_BEGUN = (
    f"The number to remember is {_NUMBER}. Once more, to be sure: the number to remember is {_NUMBER[:2]}"
)
_QUESTION = Prompt.user("Think about the number to remember, then say it.")


def trial_cost(mode: Mode) -> int:
    """Tokens that a trial of a mode takes at most; ``none``: of an answer to a question."""
    # A character is at most a token; the service puts its template around the text.
    if mode in RAW:
        return len(_BEGUN) + _TOKENS
    question = len(_QUESTION.messages[0].content) + _TEMPLATE + _TOKENS
    return question if mode == "none" else question + len(_BEGUN)


@dataclass
class Trial:
    """One service and one model, to be tried.

    Attributes:
        what: the backend, for messages.
        answered: the service has taken a request for the model.
    """

    what: str
    model: str
    options: OpenAIOptions
    clients: Clients
    url: str
    service: Service
    answered: bool = False

    async def fails(self, mode: Mode, files: ModelFiles | None) -> str:
        """Why the service does not go on from a begun text in that mode; empty if it does.

        Raises:
            ConfigError: the key is refused.
            BackendError: it cannot be asked.
        """
        try:
            came = await self._said(mode, files, _BEGUN)
        except BackendRejected as error:
            if error.key:
                raise ConfigError(str(error)) from error
            return str(error)
        if came is None:
            return "it answers without choices"
        goes_on = not self._needs_proof(mode) or came.startswith(_NUMBER[2:])
        return "" if goes_on else f"it does not go on from the middle: it said {came[:40]!r}"

    def proof(self, mode: Mode) -> str:
        """What a mode that works is believed for."""
        return (
            "probed, it goes on from the middle of a word" if self._needs_proof(mode) else "raw completions"
        )

    def _needs_proof(self, mode: Mode) -> bool:
        """Raw completions continue by definition, but a gateway may have only a chat behind them."""
        return mode not in RAW or not self.service.verbatim

    async def ask(self, mode: Mode, files: ModelFiles | None) -> None:
        """See whether the service takes the model at all.

        Raises:
            BackendRejected: it does not.
            BackendError: it cannot be asked.
        """
        await self._said(mode, files, "")

    async def _said(self, mode: Mode, files: ModelFiles | None, begun: str) -> str | None:
        """What the service says after ``begun``; ``None`` if it does not even choose silence."""
        path, read = (COMPLETIONS, read_completion) if mode in RAW else (CHAT, read_chat)
        asked = self._raw(mode, files) if mode in RAW else self._chat(mode, begun)
        body = with_extra({**self._fields(mode), **asked}, self.options.extra)

        async def said() -> str | None:
            came: str | None = None
            async with aclosing(self.clients.stream(self.url, path, body)) as events:
                async for event in events:
                    self.answered = True
                    if event.get("choices"):
                        delta = read(event)
                        came = (came or "") + delta.reasoning + delta.text
            return came

        return await insist(said, what=self.what, seconds=self.options.first_token_timeout)

    def _fields(self, mode: Mode) -> dict[str, Any]:
        """What real requests have too: a service that refuses one of them would refuse them all."""
        told = common(self.service, mode, derive("probe"))
        return {"model": self.model, **sampling(self.options), **told}

    def _raw(self, mode: Mode, files: ModelFiles | None) -> dict[str, Any]:
        prompt: Any = files.codec.encode(_BEGUN) if mode == "token-ids" and files is not None else _BEGUN
        return {"prompt": prompt, "max_tokens": _TOKENS, **self.service.raw}

    def _chat(self, mode: Mode, begun: str) -> dict[str, Any]:
        spans = (Span("other", "think", begun, 0, 0),) if begun else ()
        request = Request(Turn("probe", "think", max_tokens=_TOKENS), spans, derive("probe"))
        messages: Mapping[str, Any] = chat_body(View(self.what, _QUESTION, request, ()), mode, self.service)
        body = {**messages, self.service.limit_field: _TOKENS, "temperature": 0}
        if self.options.reasoning_effort is not None:
            body["reasoning_effort"] = self.options.reasoning_effort
        return body
