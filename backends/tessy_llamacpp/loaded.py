"""What a started backend holds, and its sessions use."""

from __future__ import annotations

from dataclasses import dataclass

import llama_cpp as lib

from tessy.formats import ChatFormat
from tessy.tokens import token_offsets
from tessy_llamacpp.engine import Engine
from tessy_llamacpp.model import Model
from tessy_llamacpp.options import Sampling

__all__ = ["Loaded"]


@dataclass(frozen=True)
class Loaded:
    """All that exists once the model is loaded."""

    model: Model
    format: ChatFormat
    sampling: Sampling
    engine: Engine
    context: lib.llama_context_p
    n_ctx: int

    def offsets(self, tokens: list[int]) -> tuple[int, ...]:
        """Where each token begins in the text of all."""
        return token_offsets(map(self.model.piece, tokens))
