"""Keeping within the engines' KV memory beside plain limits of trajectories, in virtual time.

``PYTHONPATH=tests python tests/bench/bench_admission.py [--thinking N] [--cache N] [--prefill-all N]``
"""

from __future__ import annotations

import argparse

from bench.schedule.memory import Taken, within
from bench.schedule.traces import traces
from tessy.testing.simulated import Lengths, Speed

LOOKAHEAD = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--traces", type=int, default=96)
    parser.add_argument(
        "--thinking", type=int, default=2000, help="tokens on average; answers: a seventeenth"
    )
    parser.add_argument("--cache", type=int, default=32_000, help="tokens that each engine's memory holds")
    parser.add_argument("--prefill-all", type=float, default=20_000.0, help="inf: no prompt delays another")
    parser.add_argument("--plain", type=int, nargs="+", default=[4, 8, 12, 16, 24, 32, 64])
    parser.add_argument("--auto", type=int, nargs="+", default=[32, 64], help="limits with admission besides")
    given = parser.parse_args()
    speed = Speed(prefill_all=given.prefill_all)
    lengths = Lengths(thinking=given.thinking, answer=given.thinking / 17)
    known = traces(range(1, given.traces + 1), seed=0, lengths=lengths, speed=speed)
    print("| limit | makespan | of what could be cached was | computed ÷ least | active | of these paused |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for bounded, limits in ((False, given.plain), (True, given.auto)):
        for slots in limits:
            taken = within(known, speed, slots, given.cache, bounded=bounded, lookahead=LOOKAHEAD)
            print(_row(f"{slots}{', admission' if bounded else ''}", taken), flush=True)


def _row(name: str, taken: Taken) -> str:
    again = taken.computed / taken.least
    return (
        f"| {name} | {taken.seconds:.0f} s | {taken.hits:.1%} | {again:.2f} "
        f"| {taken.active:.1f} | {taken.paused:.1f} |"
    )


if __name__ == "__main__":
    main()
