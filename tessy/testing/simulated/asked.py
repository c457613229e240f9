"""What a request's body asks for, in the server's own terms; what it cannot do is refused in words."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import orjson

from tessy.errors import DataError
from tessy.testing.simulated.cache import Ids
from tessy.testing.simulated.generation import Wanted
from tessy.testing.simulated.vocabulary import Vocabulary
from tessy.testing.simulated.wire import Refused
from tessy.types import Message, Prompt

__all__ = ["Asked"]

_UNSUPPORTED = ("best_of", "echo", "suffix", "tools")


class Asked:
    """Reads bodies for one model. All methods raise `Refused`."""

    def __init__(self, model: str, vocabulary: Vocabulary, context: int) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._context = context

    def body(self, data: bytes) -> Mapping[str, Any]:
        """A body that is an object, for this model."""
        try:
            body = orjson.loads(data)
        except ValueError as error:
            raise Refused(400, f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise Refused(400, "the body is no object")
        if body.get("model", self._model) != self._model:
            raise Refused(404, f"The model `{body['model']}` does not exist.")
        asked = [name for name in _UNSUPPORTED if body.get(name)] + ["n"] * (body.get("n", 1) != 1)
        if asked:
            raise Refused(400, f"{', '.join(asked)}: not simulated")
        return body

    def ids(self, body: Mapping[str, Any]) -> Ids:
        """A prompt: a text, or tokens."""
        prompt, size = body.get("prompt"), self._vocabulary.size
        if isinstance(prompt, str):
            prompt = self._vocabulary.encode(prompt)
        try:
            ids = array("I", prompt if isinstance(prompt, list) else [-1])
            if max(ids, default=0) < size:
                return ids
        except (TypeError, OverflowError):
            pass  # no numbers, or negative ones
        raise Refused(400, f"prompt must be a string or a list of token ids below {size}")

    def conversation(self, body: Mapping[str, Any]) -> Ids:
        """A conversation through the chat template; its last message may be one to go on with."""
        try:
            messages = [Message(str(one["role"]), one["content"] + "") for one in body["messages"]]
        except (KeyError, TypeError) as error:
            raise Refused(400, "messages must be a list of objects with role and content") from error
        begun = ""
        if body.get("continue_final_message") and messages and messages[-1].role == "assistant":
            begun = messages.pop().content
        try:
            pieces = self._vocabulary.format.render(Prompt(tuple(messages)), ())
        except DataError as error:
            raise Refused(400, str(error)) from error
        return array("I", self._vocabulary.encode("".join(piece.text for piece in pieces) + begun))

    def wanted(self, body: Mapping[str, Any], ids: Ids, most: Any) -> Wanted:
        """How far a prompt is to be gone on with, ``most`` tokens at most."""
        room = self._context - len(ids)
        if not ids or room < 1:
            raise Refused(
                400, f"the prompt has {len(ids)} tokens, the model's context {self._context}: none is left"
            )
        if not isinstance(most, int) or most < 1:
            raise Refused(400, f"max_tokens must be at least 1, it is {most!r}")
        stop = body.get("stop") or []
        return Wanted(
            min(most, room),
            frozenset(body.get("stop_token_ids") or ()),
            [stop] if isinstance(stop, str) else stop,
            body.get("skip_special_tokens") is False,
        )
