"""What a seed says: the prompts, the models, the policy, what is poisoned, and how much goes wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tessy.abc import SwitchPolicy
from tessy.policies.alternate import TessyOptions, TessyPolicy
from tessy.policies.isolation import IsolationOptions
from tessy.policies.solo import StudentOnly, TeacherOnly
from tessy.policies.teacher_answer import TeacherAnswer
from tessy.policies.teacher_think import TeacherThink

from .policies import BestOf, Reviewing, Stops

__all__ = ["ENGINE_POISONS", "POISONS", "Poison", "World"]

ENGINE_POISONS = (
    "raises",  # the engine, with something that is no error of ours
    "refuses",  # the engine, for good
    "surrogates",  # text that is no Unicode
    "unfinished",  # a stream that ends without a word
    "endless",  # a stream that does not end
    "mute",  # chunks without anything, for ever
    "hangs",  # nothing comes, ever
    "cancels",  # a plugin that cancels itself
)
POISONS = (
    *ENGINE_POISONS,
    "label raises",
    "label hangs",
    "label lies",
    "guess raises",
    "next_turn raises",
    "next_turn lies",
    "watch raises",
    "watch lies",
)


@dataclass(frozen=True)
class Poison:
    """Why a row cannot be finished: what goes wrong once its trace has so many tokens."""

    kind: str
    after: int


@dataclass(frozen=True)
class World:
    """All that does not depend on timing: two runs of one world write the same rows.

    Attributes:
        block: tokens between checkpoints, in place of 256.
        hides: backends show no token ids.
        kv: tokens that the student's engine holds.
        poison: by row.
        trouble: how likely a request is to fail for a moment.
        lives: how often the run is broken off, at most.
        ahead: models may be asked before a turn has settled.
        guesses: how the detector guesses then.
    """

    seed: int
    rows: int
    samples: int
    think: int
    answer: int
    block: int
    policy: Callable[[], SwitchPolicy]
    name: str
    length: int
    kv: int | None
    counts: bool
    poison: dict[str, Poison]
    trouble: float
    lives: int
    ahead: bool
    guesses: tuple[str, ...]

    @classmethod
    def draw(cls, seed: int) -> World:
        chance = random.Random(f"world {seed}")
        rows, samples = chance.choice((1, 2, 3, 3, 4, 5, 8)), chance.choice((1, 1, 1, 2))
        think = chance.choice((1, 6, 15, 25, 40))
        name, policy = chance.choice(_POLICIES)(chance)
        ids = [f"p{i}#{k}" for i in range(rows) for k in range(samples)]
        poisoned = [id for id in ids if chance.random() < chance.choice((0.0, 0.0, 0.3))]
        return cls(
            seed=seed,
            rows=rows,
            samples=samples,
            think=think,
            answer=chance.choice((1, 5, 12)),
            block=chance.choice((3, 8, 256)),
            policy=policy,
            name=name,
            length=chance.choice((think, 60, 200, 200, 200)),
            kv=chance.choice((None, None, 150, 500)),
            counts=chance.random() < 0.8,
            poison={id: Poison(chance.choice(POISONS), chance.randrange(think + 1)) for id in poisoned},
            trouble=chance.choice((0.0, 0.02, 0.1, 0.3)),
            lives=chance.choice((1, 1, 2, 3)),
            ahead=chance.random() < 0.6,
            guesses=chance.choice(
                (("true",), ("true", "true", "nothing"), ("true", "true", "true", "false"), ("true", "false"))
            ),
        )

    def write_prompts(self, path: Path) -> Path:
        lines = [{"id": f"p{i}", "prompt": f"Question {i} of {self.seed}?", "é": i} for i in range(self.rows)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return path

    def __str__(self) -> str:
        return (
            f"{self.rows}x{self.samples} rows by {self.name}, {self.think} tokens of thinking, "
            f"blocks of {self.block}, length {self.length}, kv {self.kv}, trouble {self.trouble}, "
            f"poison { ({row: poison.kind for row, poison in self.poison.items()}) }"
        )


_Drawn = tuple[str, Callable[[], SwitchPolicy]]


def _tessy(chance: random.Random) -> _Drawn:
    options = chance.choice(
        ({}, {}, {"k": 5}, {"k_teacher": 10, "k_student": 5}, {"answer": "teacher", "start": "teacher"})
    )
    return f"tessy {options}", lambda: TessyPolicy(TessyOptions(**options))


def _phases(chance: random.Random) -> _Drawn:
    cls = chance.choice((TeacherOnly, StudentOnly, TeacherThink, TeacherAnswer))
    return cls.__name__, lambda: cls(IsolationOptions(system=None))


def _own(chance: random.Random) -> _Drawn:
    cls = chance.choice((BestOf, Reviewing, Stops))
    return cls.__name__, cls


_POLICIES: tuple[Callable[[random.Random], _Drawn], ...] = (_tessy, _tessy, _tessy, _phases, _own)
