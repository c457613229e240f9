"""Draws the held-out problems that evaluation and the examples use.

Run as `python examples/miniature/prompts.py > examples/miniature/prompts.jsonl`.
"""

from __future__ import annotations

import json
import random

from world import Problem, sample_problem

__all__ = ["held_out"]


def held_out(count: int, seed: int) -> list[Problem]:
    """`count` different held-out problems; the same seed gives the same ones."""
    rng = random.Random(seed)
    problems: dict[str, Problem] = {}
    while len(problems) < count:
        problem = sample_problem(rng, held_out=True)
        problems[problem.prompt] = problem
    return list(problems.values())


def main() -> None:
    """Print 240 rows."""
    for index, problem in enumerate(held_out(240, seed=7)):
        row = {"id": f"mini-{index:03}", "prompt": problem.prompt, "answer": str(problem.answer)}
        print(json.dumps(row))


if __name__ == "__main__":
    main()
