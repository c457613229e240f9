"""Options of detector ``hf-boundary``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tessy import Options

__all__ = ["HfBoundaryOptions"]


def _names(value: Any) -> Any:
    """One label, or several separated by commas; a file may also give an id or a list of them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, int) and not isinstance(value, bool):
        return (str(value),)
    if isinstance(value, list | tuple):
        return tuple(str(part) if isinstance(part, int) else part for part in value)
    return value


class HfBoundaryOptions(Options):
    """Options of detector ``hf-boundary``; a model is a folder, a hub id, or a hub id ``@`` a revision."""

    student: str | None = Field(None, description="model for text by the student; default: MODEL")
    teacher: str | None = Field(None, description="model for text by the teacher; default: MODEL")
    revision: str | None = Field(None, description="branch, tag or commit of hub models named without one")
    shift: Literal[0, 1] = Field(
        1, description="1: the label at a token is for the next one (as the paper trains); 0: for itself"
    )
    style_label: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        (), description="ids or names of the labels that mean style; default: the one named style, or 1"
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which on a word is style")
    window: int = Field(512, ge=16, description="tokens that a label looks back, at most")
    lookahead: int | None = Field(
        None, ge=2, description="characters that a bidirectional model looks ahead; default: 64"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on a GPU, float32 on the CPU"
    )
    batch: int = Field(32, ge=1, description="windows in one forward pass")
    cache: int = Field(2048, ge=0, description="MiB of KV cache kept between calls; 0: none")
