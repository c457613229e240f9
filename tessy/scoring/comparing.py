"""Holds scored runs against what the student itself writes: similarity of rows, divergence of style."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tessy.errors import ConfigError
from tessy.metrics import Bag, Ratio
from tessy.metrics.bootstrap import Estimate, estimates
from tessy.metrics.divergence import divergence
from tessy.metrics.similarity import Reference
from tessy.scoring.runs import Scored

__all__ = ["compare", "figures"]

SIMILARITY = "similarity"
DIVERGENCE = "style_divergence"


def compare(scored: Sequence[Scored], references: Sequence[Scored]) -> None:
    """Give each row its similarity to the references' rows of the same prompt.

    A row is not held against itself, so a reference among the runs has one only where it has several samples
    of a prompt.

    Raises:
        ConfigError: a run and the references have no prompt in common.
    """
    reference = Reference(
        ((one.run.folder.resolve(), row.id), row.prompt, bag) for one in references for row, bag in one.bags()
    )
    prompts = {row.prompt for one in references for row in one.rows}
    for one in scored:
        if prompts.isdisjoint(row.prompt for row in one.rows):
            names = ", ".join(str(other.run.folder) for other in references)
            raise ConfigError(
                f"{one.run.folder}: has no prompt in common with {names}; a reference is the student's own "
                "run over the same prompts"
            )
        folder = one.run.folder.resolve()
        for row, bag in one.bags():
            value = reference.similarity((folder, row.id), row.prompt, bag)
            if value is not None:
                row.shares[SIMILARITY] = Ratio(value, 1)


def figures(one: Scored, references: Sequence[Scored], *, resamples: int, seed: int) -> dict[str, Estimate]:
    """All of a run's figures, with intervals over prompts; see `tessy.metrics`."""
    found = estimates([(row.prompt, row.shares) for row in one.rows], resamples=resamples, seed=seed)
    others = [other for other in references if other.run.folder.resolve() != one.run.folder.resolve()]
    if others:
        apart = divergence(_styles([one]), _styles(others), resamples=resamples, seed=seed)
        if apart is not None:
            found[DIVERGENCE] = apart
    return found


def _styles(scored: Sequence[Scored]) -> Iterator[tuple[str, Bag]]:
    for one in scored:
        for row, bag in one.bags():
            yield row.prompt, bag
