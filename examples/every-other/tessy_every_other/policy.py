"""The models take turns, so many tokens each; the student answers."""

from pydantic import Field

from tessy import Done, Needs, Options, SwitchPolicy, Trajectory, Turn


class EveryOtherOptions(Options):
    """Options of policy ``every-other``."""

    tokens: int = Field(default=20, ge=1, description="tokens a turn")


class EveryOther(SwitchPolicy):
    """Student, teacher, student, … whatever they write."""

    Options = EveryOtherOptions
    options: EveryOtherOptions

    @property
    def needs(self) -> Needs:
        """Both models, nothing else: no labels, no log-probabilities."""
        return Needs()

    def next_turn(self, trajectory: Trajectory) -> Turn | Done:
        """Who goes on follows from the number of turns, so a resumed run gets the same turn again."""
        if trajectory.phase == "answer":
            return Done() if trajectory.ended == "end_of_turn" else Turn("student", "answer")
        role = "student" if len(trajectory.turns) % 2 == 0 else "teacher"
        return Turn(role, max_tokens=self.options.tokens)
