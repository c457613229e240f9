"""Measures the pair on held-out problems: each model alone, and both together.

Run it as `python examples/miniature/evaluate.py`.
Needs llama-cpp-python, but neither torch nor tessy: "together" is a plain sketch of the
paper's loop that knows every phrase of the pair by heart, in place of a style detector.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import astuple, dataclass
from pathlib import Path

from engine import Engine
from prompts import held_out
from voices import STUDENT, TEACHER
from world import Problem, is_right, stated_answer

_LIMIT = 400  # tokens of thinking
_PHRASES = {
    phrase
    for voice in (STUDENT, TEACHER)
    for field in astuple(voice)
    if isinstance(field, dict)
    for phrase in field
    if phrase
}
_PHRASE = "|".join(re.escape(p) for p in sorted(_PHRASES, key=len, reverse=True))
_STYLE = re.compile(rf"(?:\s*(?:{_PHRASE})(?=\s|$))*")
_STYLE_AHEAD = re.compile(rf"(?<=[.\n])\s*(?:{_PHRASE})(?=\s|$)")


def main() -> None:
    """Print one line a setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path(__file__).parent / "models")
    parser.add_argument("-n", type=int, default=500, help="number of problems")
    parser.add_argument("--seed", type=int, default=1, help="draws the problems")
    parser.add_argument("--show", type=int, default=0, help="print that many joint traces")
    options = parser.parse_args()
    problems = held_out(options.n, options.seed)
    for temperature in (0.0, 0.6):
        pair = {
            role: Engine(role, options.models, temperature=temperature) for role in ("teacher", "student")
        }
        for role, engine in pair.items():
            _report(f"{role} alone", temperature, problems, [_alone(engine, p) for p in problems])
        joint = [_together(pair, p) for p in problems]
        _report("together", temperature, problems, [(j.tokens, j.answer) for j in joint])
        _report_shares(joint)
        for trace in joint[: options.show]:
            print("  " + "".join(f"[{role[0]}]{text}" for role, text in trace.spans) + " => " + trace.answer)


@dataclass(frozen=True)
class _Joint:
    """A trace by both: spans with authors, the student's token count, who ended the thinking."""

    spans: tuple[tuple[str, str], ...]
    tokens: int
    closer: str
    answer: str


def _report(name: str, temperature: float, problems: list[Problem], results: list[tuple[int, str]]) -> None:
    count = len(problems)
    right = sum(is_right(p, answer) for p, (_, answer) in zip(problems, results, strict=True))
    ended = sum(stated_answer(answer) is not None for _, answer in results)
    tokens = sum(t for t, _ in results) / count
    print(
        f"{name:14} T={temperature}  right {right / count:6.1%}  answered {ended / count:6.1%}"
        f"  {tokens:5.1f} tokens of thinking",
        flush=True,
    )


def _report_shares(joint: list[_Joint]) -> None:
    spans = [span for trace in joint for span in trace.spans]
    teacher = sum(len(text) for role, text in spans if role == "teacher")
    closed = sum(trace.closer == "student" for trace in joint) / len(joint)
    print(
        f"{'':14} the teacher wrote {teacher / sum(len(text) for _, text in spans):.0%} of the characters,"
        f" in {len(spans) / len(joint):.1f} spans a trace; the student ended {closed:.0%} of them"
    )


def _alone(engine: Engine, problem: Problem) -> tuple[int, str]:
    """Tokens of thinking, and the answer ("" if the thinking did not end in time)."""
    ids = engine.start(problem.prompt)
    thinking = list(engine.generate(ids, _LIMIT))
    for at in range(len(thinking)):
        if thinking[at : at + len(engine.end)] == engine.end:
            return at, engine.decode(thinking[at + len(engine.end) :])
    return len(thinking), ""


def _together(pair: dict[str, Engine], problem: Problem) -> _Joint:
    spans: list[tuple[str, str]] = []
    role, ended, idle = "student", False, False
    for _ in range(60):
        text, ended, cut = _draft(pair[role], role, problem, spans, keep_some=idle)
        idle = not text
        if text:
            spans.append((role, text))
        if ended:
            break
        if cut:
            role = "teacher" if role == "student" else "student"
    student = pair["student"]
    ids = _context(student, problem, spans)
    tokens = len(ids) - len(student.start(problem.prompt))
    answer = student.decode(list(student.generate(ids + student.end, 60))) if ended else ""
    return _Joint(tuple(spans), tokens, role if ended else "", answer)


def _draft(
    engine: Engine, role: str, problem: Problem, spans: list[tuple[str, str]], keep_some: bool
) -> tuple[str, bool, bool]:
    """One turn: its text, whether the thinking ended, whether the other model goes on."""
    ids: list[int] = []
    for token in engine.generate(_context(engine, problem, spans), 24):
        ids.append(token)
        if token == engine.mark:
            break
    ended = ids[-1:] == [engine.mark]
    text = engine.decode(ids[:-1] if ended else ids)
    if ended and engine.form.closes.startswith("\n"):
        text = text.removesuffix("\n")
    before = spans[-1][1][-1] if spans else "\n"
    cut = _cut(role, before, text)
    if cut == 0 and text and keep_some:
        cut = (text + " ").index(" ", 1)
    if cut is None or cut >= len(text):
        return text, ended, False
    return text[:cut], False, True


def _cut(role: str, before: str, text: str) -> int | None:
    """Where `text` stops being what `role` should write, or None."""
    if role == "student":
        found = _STYLE.match(text)
        return found.end() if found else 0
    ahead = _STYLE_AHEAD.search(before + text)
    return ahead.start() - 1 if ahead else None


def _context(engine: Engine, problem: Problem, spans: list[tuple[str, str]]) -> list[int]:
    ids = engine.start(problem.prompt)
    for _, text in spans:
        ids += engine.encode(text)
    return ids


if __name__ == "__main__":
    main()
