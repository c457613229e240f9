"""Isolation of new data by a system prompt (TESSY, arXiv 2604.14164): for any policy.

A student that is trained on rows with a system prompt of their own learns to write like that *under that
prompt*, and stays closer to what it was without it. The prompt therefore goes into the stored row. The
models write as they would have without it, unless they are to see it too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from tessy.abc import Context, SwitchPolicy
from tessy.errors import ConfigError
from tessy.policies.options import ThinkingOptions
from tessy.types import Message, Prepared, Prompt, Role

__all__ = ["IsolatingPolicy", "IsolationOptions"]


class IsolationOptions(ThinkingOptions):
    """Options of policies that can isolate what they write."""

    system: str | None = Field(
        default=None, description="a system prompt that isolates the new data: put into the stored row"
    )
    system_for: Literal["row", "student", "teacher", "all"] = Field(
        default="row", description="who has it: the row alone, or this model too while it writes, or all"
    )

    @model_validator(mode="after")
    def _check_system(self) -> Self:
        if self.system is not None and not self.system.strip():
            raise ValueError("system is blank; leave it out")
        if self.system is None and self.system_for != "row":
            raise ValueError(f"system_for={self.system_for} needs a system prompt; give system=TEXT too")
        return self


class IsolatingPolicy(SwitchPolicy):
    """A policy with options ``system`` and ``system_for``; a `prepare` of its own ends in `isolated`."""

    Options: ClassVar[type[IsolationOptions]] = IsolationOptions
    options: IsolationOptions
    shown: ClassVar[tuple[Role, ...]] = ("teacher", "student")
    """Who is shown the row's prompt."""

    def __init__(self, options: IsolationOptions) -> None:
        super().__init__(options)
        if self.options.system_for not in ("row", "all", *self.shown):
            raise ConfigError(
                f"policy option system_for: the {self.options.system_for} is not shown the prompt here, "
                f"the {' and the '.join(self.shown)} is; give that, row or all"
            )

    async def prepare(self, prompt: Prompt, context: Context) -> Prepared:
        return self.isolated(prompt)

    def isolated(self, prompt: Prompt, prepared: Prepared | None = None) -> Prepared:
        """``prepared`` with the system prompt in the stored row and in the prompts of those who see it."""
        prepared = prepared or Prepared()
        if self.options.system is None:
            return prepared
        shown = {role: prepared.prompts.get(role, prompt) for role in self.shown}
        stored = prompt if prepared.stored is None else Prompt(prepared.stored)
        return replace(
            prepared,
            prompts={**prepared.prompts, **{role: self.as_seen(role, one) for role, one in shown.items()}},
            stored=_under(self.options.system, stored).messages,
        )

    def as_seen(self, role: Role, prompt: Prompt) -> Prompt:
        """What ``role`` is shown of a prompt."""
        system = self.options.system
        sees = self.options.system_for in (role, "all")
        return _under(system, prompt) if system is not None and sees else prompt


def _under(system: str, prompt: Prompt) -> Prompt:
    """The prompt under a system prompt, which stands before one that it has already."""
    first, *rest = prompt.messages
    if first.role == "system":
        return Prompt((Message("system", f"{system}\n\n{first.content}"), *rest))
    return Prompt((Message("system", system), *prompt.messages))
