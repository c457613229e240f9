"""The figures of rows and runs: each a ratio of two sums over rows, so any sample of rows has them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Literal

from tessy.metrics.sums import Cell, Sums

__all__ = ["Ratio", "ratios", "row_scores"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """One row's share in a figure: the figure is f(Σ above / Σ below), f the identity or exp."""

    above: float
    below: float
    form: Literal["plain", "exp"] = "plain"


def ratios(sums: Sums) -> dict[str, Ratio]:
    """A row's share in each figure that it has one in, by the figure's name.

    - ``nll``: mean negative log-likelihood of a token, Σ NLL / Σ tokens, in nats: the SFT loss.
      With ``_teacher``, ``_style``, ``_think`` and so on: over those tokens alone.
    - ``perplexity``: exp(nll), with the same endings.
    - ``handover``: mean NLL of the first token after a hand-over, and ``handover_around`` of the four tokens
      before and after it; with ``_to_student`` and so on: of the hand-overs to that author.
    - ``onset_style``, ``onset_capability``: the same where style or capability begins, whoever writes it; the
      first word of a phrase is always the least expected, so this is what a hand-over is to be held against.
    - ``grape``: mean over rows of p(response)^(1/length) = exp(-nll of the row) (GRAPE, arXiv 2502.04194).
    - ``rank_surprisal``: mean over rows of the mean rank, up to 100, over mean over rows of the mean NLL;
      of one row Σ min(rank, 100) / Σ NLL (arXiv 2601.14249, appendix A.8 for sets). Lower is better.
    """
    found: dict[str, Ratio] = {}
    every = sums.over()
    _losses(found, "", every)
    for author in dict.fromkeys(group.author for group in sums.cells):
        _losses(found, f"_{author}", sums.over(author=author))
    for kind in ("style", "capability"):
        _losses(found, f"_{kind}", sums.over(kind=kind))
    _losses(found, "_think", sums.over(phase="think"))
    _losses(found, "_answer", sums.over(phase="answer"))
    for to, seam in sums.handovers.items():
        found[f"handover_to_{to}"] = Ratio(seam.first, seam.count)
        found[f"handover_around_to_{to}"] = Ratio(seam.around, seam.count)
    if count := sum(seam.count for seam in sums.handovers.values()):
        found["handover"] = Ratio(sum(seam.first for seam in sums.handovers.values()), count)
        found["handover_around"] = Ratio(sum(seam.around for seam in sums.handovers.values()), count)
    for kind, seam in sums.onsets.items():
        found[f"onset_{kind}"] = Ratio(seam.first, seam.count)
        found[f"onset_around_{kind}"] = Ratio(seam.around, seam.count)
    if every.tokens:
        mean = every.nll / every.tokens
        found["grape"] = Ratio(exp(-mean), 1)
        if every.ranks is not None:
            found["rank_surprisal"] = Ratio(every.ranks / every.tokens, mean)
    return found


def row_scores(shares: Mapping[str, Ratio]) -> dict[str, float]:
    """The figures of one row by itself; those that it cannot have are left out."""
    return {name: value for name, share in shares.items() if (value := figure(share)) is not None}


def figure(share: Ratio) -> float | None:
    """What sums come to; ``None`` where there is nothing below the line."""
    if not share.below:
        return None
    value = share.above / share.below
    return exp(min(value, 700.0)) if share.form == "exp" else value


def _losses(found: dict[str, Ratio], ending: str, cell: Cell) -> None:
    if cell.tokens:
        found[f"nll{ending}"] = Ratio(cell.nll, cell.tokens)
        found[f"perplexity{ending}"] = Ratio(cell.nll, cell.tokens, "exp")
