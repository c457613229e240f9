"""What an annotator is told: where style begins and ends, and how to answer."""

from __future__ import annotations

from tessy.types import Message, Prompt

__all__ = ["MARK", "make_prompt"]

MARK = "TEXT:\n"
"""Stands before the text, which ends the message."""

_INSTRUCTIONS = """\
You mark style in a piece of a language model's reasoning. Style is how the model talks while it thinks: \
hesitation, tone, attitude, transitions, announcements of what it will do next. All else is content: \
deductions, facts, numbers, formulas, code, what the task says.

Where a style span begins and ends:
- It begins with the first and ends with the last style word of a run. Punctuation that sticks to the last \
word belongs to it ("Hmm,", "For example,", "let's see."). If the next sentence or line goes on with style, \
the span goes on too.
- An announcement is style up to the first word about this task: "Now, let's compute" | "the area", \
"I need to figure out" | "how many apples", "So we have" | "x = 3". A general verb belongs to it (compute, \
find, check, consider, look at, list); a verb special to the task does not ("We need to" | "sort the list").
- At the beginning of a sentence or a line these are style: so, then, but, and, or, now, also, thus, \
therefore, however, first, next, finally, similarly, alternatively, actually, maybe, perhaps, wait, hmm, \
okay, right, yes, for example, in this case, on the other hand; together with the announcement that follows.
- In the middle of a sentence, connecting words are grammar, not style ("x is even, so y is odd"), unless \
they open a hedge or an announcement ("so maybe", "but wait", "so I think").
- A sentence without anything of the task in it is style as a whole: "Let me double-check that.", \
"That seems right.", "Wait, maybe I made a mistake."
- A general heading is style ("Step 2:", "Check:", "Conclusion:"); one with content is not ("Total cost:", \
"Case x < 0:"). Bullets, numbers and asterisks alone are not.
- Style are also "This means that", "The question is whether", "According to the problem,", "I remember \
that", "Good.", "Right?". Not style: "The problem says", "The answer is", "Let x be", "Suppose", commands \
such as "Add 3 to both sides".
- Code, comments in code, formulas, tables and quotations are never style.
- The text may begin and end in the middle of a sentence. Judge what is there.

Answer with a JSON array of strings and nothing else: every style span, copied letter by letter from the \
text, in the order of the text. If there is none, answer [].

Example text: Alright, the train leaves at 9:40. Let me think about how long the trip takes: 2 h 15 min, so \
it arrives at 11:55. Is that right? I should check 9:40 + 2:15. Yes, 11:55.
Example answer: ["Alright,", "Let me think about", "Is that right? I should check", "Yes,"]

"""


def make_prompt(text: str) -> Prompt:
    """The conversation that asks for the style spans of a text."""
    # One message of the user's: not every model's template has a system message.
    return Prompt((Message("user", f"{_INSTRUCTIONS}{MARK}{text}"),))
