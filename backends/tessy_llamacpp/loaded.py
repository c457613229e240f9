"""What a started backend holds, and its sessions use."""

from __future__ import annotations

from dataclasses import dataclass

import llama_cpp as lib

from tessy.formats import ChatFormat
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
        data, starts = b"", []
        for token in tokens:
            starts.append(len(data.decode("utf-8", "ignore")))
            data += self.model.piece(token)
        return tuple(starts)
