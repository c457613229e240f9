"""A model of the pair in llama.cpp, as little as evaluation needs: continue token ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chat import FORMATS, render
from llama_cpp import Llama

__all__ = ["Engine"]


class Engine:
    """One model of the pair, read from `models/{role}.gguf`."""

    def __init__(self, role: str, models: Path, *, temperature: float, seed: int = 1) -> None:
        """Load the model. Temperature 0 is greedy."""
        self.form = FORMATS[role]
        self._temperature = temperature
        self._llama = Llama(str(models / f"{role}.gguf"), n_ctx=2048, n_threads=1, verbose=False)
        self._seed = seed
        self.end = self.encode(self.form.closes, special=True)
        self.mark = self.encode(self.form.closes.strip(), special=True)[0]
        self.eos = self.encode(self.form.eos, special=True)[0]

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids; control tokens are read in `text` only if `special` is set."""
        ids: list[int] = self._llama.tokenize(text.encode(), add_bos=False, special=special)
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of ids, control tokens included."""
        text: bytes = self._llama.detokenize(ids, special=True)
        return text.decode("utf-8", "replace")

    def start(self, prompt: str) -> list[int]:
        """Ids of the conversation up to where the thinking begins."""
        text = render(self.form, [{"role": "user", "content": prompt}]) + self.form.opens
        return self.encode(text, special=True)

    def generate(self, ids: list[int], limit: int) -> Iterator[int]:
        """Continue `ids` by at most `limit` tokens, ending before the end of the turn."""
        self._seed += 1  # the sampler starts anew with every call
        self._llama.set_seed(self._seed)
        options = {"temp": self._temperature, "top_k": 20, "top_p": 0.95, "min_p": 0.0}
        for count, token in enumerate(self._llama.generate(ids, **options), 1):
            if token == self.eos:
                return
            yield token
            if count >= limit:
                return
