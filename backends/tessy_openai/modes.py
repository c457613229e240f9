"""How a request is written in each continuation mode."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tessy.errors import ContinuationUnsupported
from tessy.formats import ChatFormat
from tessy.types import Finish, Message, Prompt, Request
from tessy_openai.instruct import instruction
from tessy_openai.options import Mode
from tessy_openai.safety import check_prompt, check_text
from tessy_openai.services import Service

__all__ = ["CHAT", "COMPLETIONS", "FINISH", "RAW", "View", "chat_body", "raw_text"]

CHAT = "/chat/completions"
COMPLETIONS = "/completions"
RAW: tuple[Mode, ...] = ("token-ids", "text")
"""Modes that render the prompt themselves."""
FINISH: dict[str, Finish] = {
    "stop": "end_of_turn",
    "eos": "end_of_turn",
    "eos_token": "end_of_turn",
    "end_turn": "end_of_turn",
    "stop_sequence": "end_of_turn",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "aborted",
    "refusal": "aborted",
    "safety": "aborted",
    "recitation": "aborted",
}
"""Services' reasons in our words; any other (``insufficient_system_resource``) is a failure."""


@dataclass(frozen=True, slots=True)
class View:
    """A trajectory as this service must see it.

    Attributes:
        what: the backend, for messages.
        prompt, request: what is asked.
        controls: the model's control strings, as far as they are known.
    """

    what: str
    prompt: Prompt
    request: Request
    controls: Collection[str]

    @property
    def answering(self) -> bool:
        """Whether the thinking is closed."""
        request = self.request
        return request.closed or request.turn.phase == "answer"

    def messages(self) -> list[dict[str, Any]]:
        """The conversation, ended before the assistant's turn."""
        return [_message(message) for message in self.prompt.messages]

    def check(self) -> None:
        """Refuse texts that would command the model.

        Raises:
            UnsafeText: one would.
        """
        check_prompt(self.what, self.prompt, self.controls)
        check_text(self.what, self.request.thinking, self.controls)
        check_text(self.what, self.request.answer, self.controls)


def raw_text(view: View, format: ChatFormat) -> str:
    """Mode ``text``: the whole prompt as one string.

    The first token is left out: services put it before a completion's prompt themselves.
    """
    view.check()
    text = "".join(piece.text for piece in format.render(view.prompt, ()))
    thinking, answer = view.request.thinking, view.request.answer
    if not view.answering:
        text += format.open + thinking
    elif thinking or not format.thinks:
        text += (format.open + thinking + format.close if format.thinks else "") + answer
    else:
        text += format.answer_open + answer
    bos = format.template.bos_token
    return text.removeprefix(bos) if bos else text


def chat_body(view: View, mode: Mode, service: Service) -> dict[str, Any]:
    """The chat modes: messages, the last one perhaps unfinished.

    Raises:
        ContinuationUnsupported: there is something to continue and the service cannot.
        UnsafeText: a text would command the model.
    """
    messages = view.messages()
    thinking, answer = view.request.thinking, view.request.answer
    begun = bool(thinking or answer)
    if mode == "instruct":
        if begun:
            messages.append({"role": "user", "content": instruction(view.request)})
        return {"messages": messages}
    if not begun:
        return {"messages": messages}
    if mode == "none":
        raise ContinuationUnsupported(
            f"{view.what}: the service cannot go on from the middle of a trace; "
            "start this row anew with --retry-failed"
        )
    view.check()
    last = _unfinished(view, service, thinking, answer)
    body: dict[str, Any] = {"messages": [*messages, last]}
    if mode == "prefix":
        last["prefix"] = True
    elif mode == "continue-final-message":
        body |= {"continue_final_message": _continued(view, service), "add_generation_prompt": False}
    return body


def _continued(view: View, service: Service) -> bool | str:
    """What of the last message is to be continued.

    Told no more than ``true``, llama-server goes on with the thinking as long as there is no answer, also if
    the thinking is closed. Since May 2026 it can be told which part is meant; older ones, which do not know
    the words, do as if it were ``true``.
    """
    if service.reasoning != "reasoning_content":
        return True
    return "content" if view.answering else "reasoning_content"


def _unfinished(view: View, service: Service, thinking: str, answer: str) -> dict[str, Any]:
    """The assistant's message so far, as the service wants it."""
    closed = view.answering
    match service.reasoning:
        case "reasoning_content":
            return {"role": "assistant", "content": answer, "reasoning_content": thinking}
        case "chunks":
            content: list[Mapping[str, Any]] = [
                {"type": "thinking", "thinking": [{"type": "text", "text": thinking}], "closed": closed}
            ]
            if closed:
                content.append({"type": "text", "text": answer})
            return {"role": "assistant", "content": content}
        case _:
            text = f"<think>\n{thinking}"
            if closed:
                text = f"{text}\n</think>\n\n{answer}" if thinking else answer
            return {"role": "assistant", "content": text}


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content}
