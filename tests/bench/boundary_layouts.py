"""Labelled segments laid out as the numbered "Thinking Process" of newer models: more of what is rare."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from tessy.labelling.segments import Segment, Span

VERBS = [
    " ".join(part.split())
    for part in """
    Analyze | Identify | Determine | Formulate | Evaluate | Draft | Refine | Review | Consider |
    Check | Verify | Finalize | Construct | Understand | Assess | Plan | Deconstruct | Clarify |
    Define | Recall | Structure | Select | Explore | Compare | Outline | Break Down | Decide on |
    Double-Check | Re-evaluate | Select | Drafting | Refining | Brainstorm | Synthesize | Apply |
    Test
""".split("|")
]
NOUNS = [
    " ".join(part.split())
    for part in """
    the Request | the Problem | the Question | the User's Request | the Core Question | the Goal |
    the Input | the Output | the Response | the Options | the Constraints | Key Constraints | the
    Answer | the Logic | the Solution | the Approach | the Key Points | Potential Pitfalls | Common
    Pitfalls | the Final Answer | the Task | the Context | the Best Approach | Alternatives | the
    Requirements | the Result | the Steps | the Reasoning | Content | the Intent | Tone and Style |
    the Explanation | Edge Cases | Assumptions | the Information | Possible Approaches | the
    Conflict | the Structure | the Text
""".split("|")
]
GENERIC = [
    " ".join(part.split())
    for part in """
    Final Check | Final Answer | Final Decision | Final Review | Final Polish | Self-Correction |
    Self-Correction during drafting | Task | Goal | Input | Output | Constraint | Constraints |
    Context | Correction | Decision | Conclusion | Question | Hint | Check | Verification | Approach
    | Plan | Draft | Draft 1 | Draft 2 | Step 1 | Step 2 | Step 3 | Refinement | Observation |
    Hypothesis | Role | Result | Verdict | Alternative | Alternative view | Initial thought |
    Assessment | Attempt 1 | Critique | Answer | Format | Key Question | Note | Idea | Option 1 |
    Reasoning | Double-check | Summary | Edge Cases | Core Issue | Thought | Interpretation |
    Example
""".split("|")
]
CONTENT = [
    " ".join(part.split())
    for part in """
    Total Cost | Case 1 (x < 0) | Case 2 (n is even) | Stanza 1 | Day 3 | Time Complexity | Speed of
    Train A | Tone of Voice | Left side | Right side | Bat + Ball | Probability of A | Number of
    sheep | Array a | Base case n = 0 | Interest rate | Option D | Red marbles | Age of Tom | Two
    Pointer Approach | Memory usage | Velocity | Distance from B | Sisters of Sally | Row 2 |
    Imagery | Theme | Price per unit | Triangle ABC | Function f(x) | Boundary at t=0
""".split("|")
]
OPENINGS = ("Here's a thinking process that leads to", "Here's a thinking process:", "Thinking Process:")
LEADS = ("the solution to the riddle", "the explanation of the code", "the sum", "the essay on trade")
BULLETS = ("    *   ", "*   ", "    *   ", "        *   ", "- ", "")
PIECE = re.compile(r"[^\n]+?(?:[.!?:](?=\s)|\n|$)")


def heading(rng: random.Random) -> tuple[str, bool]:
    """A heading, and whether it is generic, that is, style."""
    kind = rng.random()
    if kind < 0.35:
        return f"{rng.choice(VERBS)} {rng.choice(NOUNS)}:", True
    return (f"{rng.choice(GENERIC)}:", True) if kind < 0.75 else (f"{rng.choice(CONTENT)}:", False)


class Layout:
    """A text in the making, with its spans."""

    def __init__(self) -> None:
        self.text = ""
        self.spans: list[Span] = []

    def add(self, piece: str, *, style: bool = False) -> None:
        if style:
            self.spans.append((len(self.text), len(self.text) + len(piece)))
        self.text += piece

    def add_heading(self, rng: random.Random, marks: tuple[str, ...]) -> None:
        (words, style), mark = heading(rng), rng.choice(marks)
        self.add(mark)
        self.add(words, style=style)
        self.add(mark)


def laid_out(segment: Segment, rng: random.Random) -> Segment:
    """The segment's sentences as numbered items and bullets, some under headings."""
    layout, number = Layout(), rng.randint(1, 6)
    if rng.random() < 0.25:
        layout.add(rng.choice(OPENINGS), style=True)
        if layout.text.endswith("to"):
            layout.add(f" {rng.choice(LEADS)}:")
        layout.add("\n\n")
    for found in PIECE.finditer(segment.text):
        piece = found.group().strip()
        if not piece:
            continue
        begin = found.start() + found.group().index(piece)
        if layout.text and not layout.text.endswith("\n"):
            layout.add(rng.choice((" ", "\n", "\n", "\n\n")))
        if not layout.text or layout.text.endswith("\n"):
            if rng.random() < 0.25:
                layout.add(f"{number}.  ")
                layout.add_heading(rng, ("**", "**", "**", ""))
                layout.add(rng.choice((" ", "\n    *   ", "\n")))
                number += 1
            else:
                layout.add(rng.choice(BULLETS))
                if rng.random() < 0.25:
                    layout.add_heading(rng, ("*", "**", ""))
                    layout.add(" ")
        shift = len(layout.text) - begin
        for start, end in segment.spans:
            start, end = max(start, begin), min(end, begin + len(piece))
            if start < end:
                layout.spans.append((start + shift, end + shift))
        layout.add(piece)
    return replace(segment, text=layout.text, spans=tuple(layout.spans))
