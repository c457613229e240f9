"""A model's Jinja chat template, rendered as transformers renders it, but in a sandbox with a still clock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from hashlib import sha256
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tessy.errors import ConfigError, DataError

__all__ = ["DATE", "VARIABLES", "Template"]

DATE = date(2025, 8, 5)
"""What templates are told when they ask for today: always the same, the day gpt-oss came out.

A prompt must be the same when a run is resumed on another day.
"""

VARIABLES: Mapping[str, Any] = {"enable_thinking": True, "thinking": True}
"""What asks a template for thinking: Qwen's word, and that of DeepSeek-V3.1 and Granite."""


class Template:
    """A compiled chat template.

    Args:
        source: the Jinja text.
        bos_token: what the template may put first.
        eos_token: what it may put last.
        name: for messages.
        variables: what else it may ask for, such as ``reasoning_effort``; over `VARIABLES`.
        today: the day that ``strftime_now`` tells.

    Raises:
        ConfigError: it does not compile.
    """

    def __init__(
        self,
        source: str,
        *,
        bos_token: str = "",
        eos_token: str = "",
        name: str = "template",
        variables: Mapping[str, Any] | None = None,
        today: date = DATE,
    ) -> None:
        self.source = source
        self.name = name
        self.bos_token = bos_token
        self._today = datetime.combine(today, time())
        self._variables = {
            **VARIABLES,
            **(variables or {}),
            "bos_token": bos_token,
            "eos_token": eos_token,
        }
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = self._today.strftime
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ConfigError(f"chat template {name}: {error}; give another with template=") from error

    def render(self, messages: Sequence[Mapping[str, Any]], *, generate: bool = True) -> str:
        """The conversation, with ``generate`` up to where the model is to go on.

        Raises:
            DataError: the template refuses the conversation.
        """
        try:
            return self._template.render(
                messages=list(messages),
                tools=None,  # as transformers: defined, and nothing
                documents=None,
                add_generation_prompt=generate,
                **self._variables,
            )
        except Exception as error:  # templates are programs: they fail as programs do
            raise DataError(f"chat template {self.name} refuses the prompt: {error}") from error

    @property
    def fingerprint(self) -> str:
        """A hash over all that decides what it renders: its source, its variables, its day."""
        told = {**self._variables, "today": self._today.date()}
        text = json.dumps([self.source, told], sort_keys=True, default=str)
        return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class _Generation(Extension):
    """Lets ``generation`` blocks through: they only tell trainers which tokens to learn."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """See jinja2."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
