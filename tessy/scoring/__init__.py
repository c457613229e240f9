"""Has a student rate the rows of runs, and keeps what comes of it beside them: what ``tessy score`` does."""

from tessy.scoring.comparing import compare, figures
from tessy.scoring.published import FILE, read_scores
from tessy.scoring.runs import Scored, ScoredRow, check_rows, score_run
from tessy.scoring.scorer import Scorer, started_scorer

__all__ = [
    "FILE",
    "Scored",
    "ScoredRow",
    "Scorer",
    "check_rows",
    "compare",
    "figures",
    "read_scores",
    "score_run",
    "started_scorer",
]
