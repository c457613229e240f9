"""What ``--dry-run`` can say of a run's tokens, cost and time before it is written."""

from __future__ import annotations

from typing import Any

from tessy.budget import Meter, show_time
from tessy.directory import JOURNAL
from tessy.forecast import Forecast, Lengths
from tessy.journal import Store
from tessy.plan import Plan

__all__ = ["estimate", "say"]


def estimate(plan: Plan, traces: int) -> dict[str, Any]:
    """From the rows so far, also those under way, once one has ended; else the most there may be.

    ``basis`` says which, and ``covers`` what tokens and cost are of: ``all`` that is generated, with its
    prompts, or ``kept`` tokens alone, written by the dearest model. Of all no bound is known beforehand: a
    prompt is sent with each turn, and how many turns there will be is the models' doing.
    """
    written = _written(plan, traces)
    if written is not None:
        return written
    tokens = traces * plan.limits.max_length
    prices = plan.budget.prices.values()
    cost = max((price.cost(0, 0, tokens) for price in prices), default=None)
    return {
        "basis": "max-length",
        "covers": "kept",
        "traces": traces,
        "tokens": tokens,
        "cost": cost,
        "seconds": None,
    }


def _written(plan: Plan, traces: int) -> dict[str, Any] | None:
    path = plan.folder / JOURNAL
    if not path.is_file():
        return None
    store = Store(path, write=False)
    try:
        usage, seconds = store.totals(), store.seconds()
        ended, active = Lengths(), Lengths()
        for over, size in store.generated():
            (ended if over else active).add(size)
    finally:
        store.close()
    forecast = Forecast.fit(ended, active)
    if forecast is None:
        return None
    meter = Meter(plan.budget, lambda: usage, seconds)
    left = max(0, traces - ended.rows)
    tokens = forecast.left(ended, active, max(0, left - active.rows)) if left else 0.0
    share = tokens / meter.tokens
    return {
        "basis": "rows so far",
        "covers": "all",
        "traces": left,
        "tokens": round(tokens),
        "cost": meter.cost * share if plan.budget.prices else None,
        "seconds": meter.seconds * share,
    }


def say(figures: dict[str, Any]) -> str:
    """The same in words."""
    if figures["covers"] == "kept":
        return _say_bound(figures)
    parts = [f"{figures['tokens']:,} tokens"]
    if figures["cost"] is not None:
        parts.append(f"cost {figures['cost']:,.2f}")
    if figures["seconds"]:
        parts.append(show_time(figures["seconds"]))
    return f"left {figures['traces']:,} traces, about {', '.join(parts)}, if they are as those so far"


def _say_bound(figures: dict[str, Any]) -> str:
    tokens, cost = f"kept tokens: at most {figures['tokens']:,}", figures["cost"]
    if cost is not None:
        tokens += f", {cost:,.2f} if the dearest model writes them all"
    rest = (
        "prompts, which each turn sends again, and what is thrown away come on top and may be more than that"
    )
    return f"{tokens}; {rest}; an estimate of all needs some rows (-n 20)"
