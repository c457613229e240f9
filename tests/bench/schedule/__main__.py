"""``make bench``: measure, print, and write ``docs/performance.md`` and its picture.

``python -m bench.schedule [--slots N …] [--long N] [--quick] [--json] [--write]``
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from bench.schedule.long import Long, measure_long
from bench.schedule.measuring import Ours, Paper, Setting, measure_ours, measure_paper
from bench.schedule.page import Results, write
from bench.schedule.virtual import Steps
from tessy.testing.simulated import Lengths

DOCS = Path(__file__).parents[3] / "docs"
SHORT = Lengths(thinking=200, answer=20)
LOOKAHEAD = 2
"""Tokens of the simulated vocabulary that the detector and the seam must see: a word and the next."""
SCALES = {16: 0.7, 64: 0.5, 256: 0.3, 1024: 0.2}
"""The model's seconds in a real one: so slow that two cores keep up with servers and client together."""


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.schedule", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--slots", type=int, nargs="+", default=[16, 64, 256], help="trajectories at once")
    parser.add_argument("--paper", type=int, nargs="*", default=[16, 64], help="the paper's, over sockets")
    parser.add_argument("--prompts", type=int, default=4, help="prompts for each slot")
    parser.add_argument(
        "--long", type=int, nargs="*", default=[64, 256], help="slots of long traces, virtual"
    )
    parser.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes, to see that it works"
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and its picture")
    given = parser.parse_args()
    base = Setting(slots=0, prompts=given.prompts, lengths=SHORT)
    if given.quick:
        given.slots, given.paper, given.long = [8], [8], [8]
        base = replace(base, prompts=1, lengths=Lengths(thinking=40, answer=8))
    ours: list[Ours] = []
    papers: list[Paper] = []
    for slots in given.slots:
        _say(f"our run, {slots} at once, over sockets")
        ours.append(measure_ours(replace(base, slots=slots, scale=_scale(slots)), LOOKAHEAD))
    for slots in given.paper:
        for steps in (Steps(), Steps(20, 20)):
            _say(
                f"the paper's schedule, {slots} at once, steps {steps.teacher}/{steps.student}, over sockets"
            )
            papers.append(measure_paper(replace(base, slots=slots), steps))
    long: list[Long] = []
    for slots in given.long:
        _say(f"long traces, {slots} at once, in virtual time")
        lengths = Lengths(thinking=300, answer=30) if given.quick else Lengths()
        long.append(measure_long(replace(base, slots=slots, lengths=lengths), LOOKAHEAD))
    results = Results(base, ours, papers, long)
    if given.json:
        print(json.dumps(asdict(results), indent=2))
    else:
        print("\n".join(results.tables()))
    if given.write:
        write(results, DOCS)


def _scale(slots: int) -> float:
    return next((scale for most, scale in SCALES.items() if slots <= most), 0.2)


def _say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
