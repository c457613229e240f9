"""Policy ``relayllm``: the student asks for help (RelayLLM, arXiv 2601.05167).

A student trained for it writes ``<call>n</call>``; the teacher then writes n tokens and the student goes on.
The command is cut out of the trace, with the rest of the word it stands in; neither model sees it again.
"""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from tessy import Context, Cut, Draft, Keep, Needs, Options, Trajectory, Turn, TurnRecord
from tessy.types import Phase
from tessy_cooperation.cooperative import CooperativeOptions, CooperativePolicy, keep_words

__all__ = ["RelayLlmOptions", "RelayLlmPolicy"]

_OPEN, _CLOSE = "<call>", "</call>"
_COMMAND = re.compile(r"<call>\s*(\d{1,9})\s*</call>\Z", re.ASCII)
_BEGUN = re.compile(r"<(?:c(?:a(?:l(?:l(?:>\s*\d*\s*(?:<(?:/(?:c(?:a(?:ll?)?)?)?)?)?)?)?)?)?)?\Z", re.ASCII)


class RelayLlmOptions(CooperativeOptions):
    """Options of policy ``relayllm``."""

    piece: int = Field(
        default=256,
        ge=16,
        description="tokens after which the student's text is committed, command or not (not in the paper)",
    )


class RelayLlmPolicy(CooperativePolicy):
    """The student writes; for as many tokens as it asks for, the teacher."""

    Options: ClassVar[type[Options]] = RelayLlmOptions
    options: RelayLlmOptions

    @property
    def needs(self) -> Needs:
        return Needs()

    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        if last is not None and last.note is not None:
            return Turn("teacher", phase, max_tokens=last.note["call"], checkpoint=True)
        return Turn("student", phase, max_tokens=self.options.piece, stop=(_CLOSE,), memo="listen")

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        if draft.turn.memo is None:
            return keep_words(draft)
        if (command := _COMMAND.search(draft.text)) is not None:
            tokens = int(command.group(1))
            # Zero tokens are no call, as in the published code.
            return Cut(command.start(), {"call": tokens} if tokens else None)
        begun = _BEGUN.search(draft.text) if draft.finish == "length" else None
        # The student writes on: half a command is written again, as a whole.
        return Keep() if begun is None or begun.start() == 0 else Cut(begun.start(), seam="exact")
