"""What an export is to hold, checked when it is made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from tessy.errors import ConfigError

__all__ = ["FORMATS", "Dedup", "Format", "Mask", "Reasoning", "Settings", "Threshold"]

Format: TypeAlias = Literal["messages", "sharegpt", "prompt-completion", "tessy-paper", "parquet", "hf"]
Reasoning: TypeAlias = Literal["inline", "field"]
Dedup: TypeAlias = Literal["none", "exact", "prompt", "text"]

FORMATS: tuple[str, ...] = get_args(Format)
_THRESHOLD = re.compile(r"([A-Za-z][\w.\-]*)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)")
_MASK = re.compile(r"(author|kind)=([\w\-]+)")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound on one of a row's scores, as ``tessy score`` writes them; a row without that score fails it."""

    name: str
    sign: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read ``NAME<=NUMBER`` (also ``>=``, ``<``, ``>``).

        Raises:
            ConfigError: it is something else.
        """
        match = _THRESHOLD.fullmatch(text.strip())
        try:
            if match is None:
                raise ValueError
            return cls(match[1], match[2], float(match[3]))
        except ValueError:
            raise ConfigError(f"--score {text!r}: write NAME<=NUMBER, with <=, >=, < or >") from None

    def holds(self, value: float) -> bool:
        """Whether a score keeps the bound; not-a-number keeps none."""
        if self.sign == "<=":
            return value <= self.bound
        if self.sign == ">=":
            return value >= self.bound
        return value < self.bound if self.sign == "<" else value > self.bound

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.bound:g}"


@dataclass(frozen=True, slots=True)
class Mask:
    """Which spans are learnt from: those of one author or of one kind."""

    by: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Mask:
        """Read ``author=student``, ``kind=style`` and so on.

        Raises:
            ConfigError: it is something else.
        """
        match = _MASK.fullmatch(text.strip())
        allowed = {"author": ("teacher", "student"), "kind": ("style", "capability")}
        if match is None or match[2] not in allowed[match[1]]:
            raise ConfigError(
                f"--loss-mask {text!r}: write author=teacher, author=student, kind=style or kind=capability"
            )
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{self.by}={self.value}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What to export.

    Attributes:
        format: of the records.
        reasoning: whether the thinking stands in the message (``inline``) or in a field of its own.
        reasoning_field: that field's name; templates look for ``reasoning_content`` or ``thinking``.
        template: a chat template (a built-in name, a file, a model folder or hub id). ``prompt-completion``
            is rendered with it; other formats are held against it.
        finish: only rows that ended in one of these ways; empty: all.
        min_length, max_length: tokens of the trace, both authors.
        min_switches, max_switches: changes of author.
        scores: bounds on scores.
        dedup: which rows count as the same: ``exact`` (prompt and text, to the letter), ``text`` (prompt and
            text but for case and white space), ``prompt`` (the first row of a prompt is kept).
        split: share of the prompts that goes to validation, 0 to 1. A prompt's rows stay together.
        masks: what the loss is to count; spans that any of them names.
        metadata: keep ``tessy`` (spans, models, …) in the records.
        overwrite: replace what stands at the target.
    """

    format: Format = "messages"
    reasoning: Reasoning = "inline"
    reasoning_field: str = "reasoning_content"
    template: str | None = None
    finish: Sequence[str] = ()
    min_length: int | None = None
    max_length: int | None = None
    min_switches: int | None = None
    max_switches: int | None = None
    scores: Sequence[Threshold] = ()
    dedup: Dedup = "none"
    split: float = 0.0
    masks: Sequence[Mask] = ()
    metadata: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(f"--format {self.format!r}: is none of {', '.join(FORMATS)}")
        if not 0 <= self.split < 1:
            raise ConfigError(f"--split {self.split:g}: is a share of the prompts, from 0 to below 1")
        for low, high, name in (
            (self.min_length, self.max_length, "length"),
            (self.min_switches, self.max_switches, "switches"),
        ):
            if low is not None and high is not None and low > high:
                raise ConfigError(f"--min-{name} {low} is above --max-{name} {high}: no row would be left")
        if self.format == "tessy-paper" and (self.reasoning == "field" or self.masks):
            raise ConfigError(
                "--format tessy-paper has neither a field for the thinking nor a loss mask; "
                "leave --reasoning and --loss-mask out"
            )
        if self.format == "prompt-completion" and self.template and self.reasoning == "field":
            raise ConfigError("--template writes text, which has no fields; leave --reasoning out")
