"""Policy ``speculative-thinking``: the teacher takes over where the student reflects (arXiv 2504.12329).

A student's step that opens with a word of doubt, checking or confidence is begun by the teacher instead. If
the teacher turns to checking, it goes on longer; after many doubts it writes a whole stretch.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from tessy import Context, Cut, Draft, Keep, Needs, Options, Trajectory, Turn, TurnRecord
from tessy.types import Phase
from tessy_cooperation.cooperative import CooperativeOptions, CooperativePolicy, keep_words
from tessy_cooperation.keywords import find_words

__all__ = ["SpeculativeThinkingOptions", "SpeculativeThinkingPolicy"]

_BEGIN: dict[str, Any] = {"then": "go on", "doubts": 0, "stretches": 0}
_MOST_DOUBTS, _LONGEST_STRETCH = 30, 200


class SpeculativeThinkingOptions(CooperativeOptions):
    """Options of policy ``speculative-thinking``; the defaults are those of the published configurations."""

    opening: int = Field(20, ge=1, description="tokens of a step that are looked at, or written (n1 = 20)")
    check: int = Field(125, ge=1, description="tokens more if the teacher turns to checking (n2 = 125)")
    doubts: int = Field(
        15, ge=1, description="doubts before the teacher writes a stretch (15; later up to 30)"
    )
    doubts_more: int = Field(5, ge=0, description="so many more doubts before the next (5)")
    stretch: int = Field(125, ge=1, description="tokens of the first stretch (125; later up to 200)")
    stretch_more: int = Field(25, ge=0, description="so many more tokens in the next (25)")
    doubt_words: tuple[str, ...] = Field(("wait", "alternatively", "hold on", "another"), description="doubt")
    check_words: tuple[str, ...] = Field(("verify", "think again", "recap", "check"), description="checking")
    sure_words: tuple[str, ...] = Field(
        ("yeah", "yes", "final answer", "confident"), description="confidence"
    )


class SpeculativeThinkingPolicy(CooperativePolicy):
    """The student writes; the teacher reflects."""

    Options: ClassVar[type[Options]] = SpeculativeThinkingOptions
    options: SpeculativeThinkingOptions
    needs = Needs()

    def turn(self, trajectory: Trajectory, phase: Phase, last: TurnRecord | None) -> Turn:
        note, o = last.note if last is not None else _BEGIN, self.options
        longer = max(o.stretch, min(o.stretch + note["stretches"] * o.stretch_more, _LONGEST_STRETCH))
        tokens = {"take over": o.opening, "check": o.check, "stretch": longer}.get(note["then"])
        if tokens is not None:
            return Turn("teacher", phase, max_tokens=tokens, checkpoint=True, memo=note)
        return Turn("student", phase, stop=("\n\n",), checkpoint=True, memo=note)

    def watch(self, draft: Draft) -> Cut | None:
        memo, o = draft.turn.memo, self.options
        if memo is None or memo["then"] != "open" or draft.tokens_before(draft.passed) > o.opening:
            return None
        words = (*o.doubt_words, *o.check_words, *o.sure_words)
        word = next(find_words(words, draft.text[: draft.settled]), None)
        opens = word is not None and draft.tokens_before(word.end()) <= o.opening
        return Cut(0, {**memo, "then": "take over"}) if opens else None

    async def review(self, draft: Draft, context: Context) -> Keep | Cut:
        memo, o = draft.turn.memo, self.options
        if memo is None:
            return Keep()
        then, doubts, stretches = "go on", memo["doubts"], memo["stretches"]
        if memo["then"] == "take over":
            unsure = sum(1 for _ in find_words((*o.doubt_words, *o.check_words), draft.text))
            doubts += 0 < unsure >= sum(1 for _ in find_words(o.sure_words, draft.text))
            then = "check" if any(find_words(o.check_words, draft.text)) else "go on"
        elif memo["then"] == "stretch":
            doubts, stretches = 0, stretches + 1
        elif draft.role == "student" and draft.finish == "stop":
            enough = max(o.doubts, min(o.doubts + stretches * o.doubts_more, _MOST_DOUBTS))
            then = "stretch" if doubts >= enough else "open"
        return keep_words(draft, {"then": then, "doubts": doubts, "stretches": stretches})
