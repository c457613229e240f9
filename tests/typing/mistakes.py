"""What users get wrong: each line must be an error for the type checkers."""

from __future__ import annotations

import tessy
from tessy import Done, Trajectory, Turn


class Wrong(tessy.SwitchPolicy):
    def next_turn(self, trajectory: Trajectory) -> str:  # mistake
        return "student"


async def notebook() -> None:
    await tessy.generate("Why?", teecher="scripted:t")  # mistake
    await tessy.generate("Why?", seed="3")  # mistake
    Turn("student", "thinking")  # mistake
    print(Done(7).nonsense)  # mistake
