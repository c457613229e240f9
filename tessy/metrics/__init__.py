"""How on-policy a text is for a student: pure functions, each with its formula and source.

From a student's scores of a row (`tessy.types.Scores`) to its tokens with their authors (`attribution`), to
sums (`sums`), to figures (`figures`), to figures of runs with intervals (`bootstrap`). Beside that, rows as
bags of tokens (`terms`) and what they are held against (`similarity`, `divergence`).
"""

from tessy.metrics.attribution import Piece, Token, attribute, split_kinds
from tessy.metrics.figures import Ratio, ratios, row_scores
from tessy.metrics.sums import Sums, sum_up
from tessy.metrics.terms import Bag, count_terms, pack, unpack

__all__ = [
    "Bag",
    "Piece",
    "Ratio",
    "Sums",
    "Token",
    "attribute",
    "count_terms",
    "pack",
    "ratios",
    "row_scores",
    "split_kinds",
    "sum_up",
    "unpack",
]
