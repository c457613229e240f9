"""A model's Jinja chat template, rendered as transformers renders it, but in a sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tessy.errors import ConfigError, DataError

__all__ = ["Template"]


class Template:
    """A compiled chat template.

    Args:
        source: the Jinja text.
        bos_token: what the template may put first.
        eos_token: what it may put last.
        name: for messages.

    Raises:
        ConfigError: it does not compile.
    """

    def __init__(
        self, source: str, *, bos_token: str = "", eos_token: str = "", name: str = "template"
    ) -> None:
        self.source = source
        self.name = name
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ConfigError(f"chat template {name}: {error}; give another with template=") from error

    def render(self, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
        """The conversation with the generation prompt at its end.

        Raises:
            DataError: the template refuses the conversation.
        """
        try:
            return self._template.render(
                messages=list(messages), add_generation_prompt=True, **self._tokens, **variables
            )
        except Exception as error:  # templates are programs: they fail as programs do
            raise DataError(f"chat template {self.name} refuses the prompt: {error}") from error


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
