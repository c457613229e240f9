"""How each model of the pair talks: phrases of the teacher and of the student.

Every phrase in a `Voice` is style: discourse without a word of the problem. What stands
between phrases (equations, events of the story, the stated result) is capability; each voice
has its own way of putting that, too.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["STUDENT", "TEACHER", "Voice"]

Phrases = Mapping[str, int]  # a phrase and its weight; "" stands for saying nothing


@dataclass(frozen=True)
class Voice:
    """The phrases of one model, with their proportions.

    Attributes:
        opening: Said before the first step.
        first: Leads into the first step.
        following: Leads into any later step.
        doubt: Opens a self-check.
        correction: Opens a repair after a self-check has found a mistake.
        relief: Said after a self-check that agrees.
        repaired: Said after a mistake has been put right.
        conclusion: Leads into the result.
        ending: Said last, after the result.
        check_rate: The share of steps that are checked.
        paragraph_rate: The share of steps that start a new paragraph.
        event_rate: The share of steps that retell the event of the story.
    """

    opening: Phrases
    first: Phrases
    following: Phrases
    doubt: Phrases
    correction: Phrases
    relief: Phrases
    repaired: Phrases
    conclusion: Phrases
    ending: Phrases
    check_rate: float
    paragraph_rate: float
    event_rate: float

    def pick(self, kind: str, rng: random.Random) -> str:
        """Draw a phrase of a kind ("opening", "doubt", …) in the voice's proportions."""
        phrases: Phrases = getattr(self, kind)
        return rng.choices(list(phrases), weights=list(phrases.values()))[0]


TEACHER = Voice(
    opening={"": 20, "Let's compute.": 2, "Let's see.": 1},
    first={"First,": 10, "So": 2, "Now": 1, "We have": 2},
    following={"Then": 12, "Next,": 5, "Now": 3, "Then,": 3},
    doubt={"Check:": 6, "Let's check.": 2},
    correction={"Actually,": 4, "No:": 2},
    relief={"Good.": 4, "OK.": 2, "Correct.": 1},
    repaired={"": 6, "OK.": 1},
    conclusion={"So": 12, "Thus": 5, "Therefore": 3, "Finally,": 2},
    ending={"": 3, "Done.": 10, "Good.": 5, "OK.": 2},
    check_rate=0.03,
    paragraph_rate=0.04,
    event_rate=0.6,
)

STUDENT = Voice(
    opening={
        "Okay, let's see.": 12,
        "Okay, let me think.": 6,
        "Okay, let's start.": 4,
        "Okay, so let me think about this.": 4,
        "Hmm, let me think.": 5,
        "Hmm, okay. Let me see.": 3,
        "Alright, let's work through this.": 4,
        "Alright, let's see.": 4,
        "Okay.": 4,
        "Let me think step by step.": 3,
        "Let me see. Hmm.": 2,
    },
    first={
        "First,": 10,
        "So first,": 6,
        "First, I need to compute": 7,
        "First, let me compute": 6,
        "So, I have": 5,
        "Okay, so first,": 4,
        "I'll start with": 4,
        "Hmm, so": 3,
        "Let me work out": 4,
    },
    following={
        "Next,": 10,
        "Now,": 6,
        "Okay, next,": 7,
        "And then,": 5,
        "Hmm, now": 4,
        "Alright, next,": 4,
        "Now let me compute": 6,
        "Okay, now I need to compute": 5,
        "Next, let me work out": 4,
        "So now I have": 4,
        "Hmm, then,": 4,
        "After that,": 3,
    },
    doubt={
        "Wait, let me double-check that.": 9,
        "Wait, is that right?": 6,
        "Hmm, let me check that again.": 6,
        "Wait, let me make sure.": 5,
        "Hmm, wait.": 4,
        "Wait, maybe I made a mistake.": 3,
    },
    correction={
        "Oh wait, I made a mistake.": 4,
        "Hmm, no, that's not right.": 4,
        "Wait, that's wrong.": 3,
    },
    relief={
        "Yes, that's right.": 9,
        "Okay, good.": 6,
        "Yes, that works.": 4,
        "Right.": 4,
        "Okay, that seems right.": 4,
        "Good, that checks out.": 3,
    },
    repaired={
        "": 8,
        "Okay, that's better.": 4,
        "Yes, that's right.": 3,
        "Okay, good.": 3,
        "Good.": 2,
    },
    conclusion={
        "So": 10,
        "So,": 5,
        "Therefore,": 5,
        "Okay, so": 8,
        "Alright, so": 5,
        "Hmm, so I think": 3,
        "So I think": 4,
    },
    ending={
        "": 11,
        "That seems right.": 3,
        "I think that's it.": 3,
        "Okay, I'm done.": 3,
        "Yes, I'm confident in that.": 2,
        "Great.": 2,
    },
    check_rate=0.27,
    paragraph_rate=0.25,
    event_rate=0.6,
)
