"""Scores a run: every finished row that is not scored yet, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tessy.errors import BackendDown, BackendError, ConfigError, DataError, PluginError
from tessy.metrics import Bag, Ratio, ratios, row_scores
from tessy.rundata import Row, RunData
from tessy.scheduler import Scheduler
from tessy.scoring.published import publish, published_rows
from tessy.scoring.scorer import Scorer, content_of
from tessy.scoring.store import ScoreStore, opened

__all__ = ["Scored", "ScoredRow", "check_rows", "score_run"]

_CONCURRENCY = 16
"""Rows at once where nothing else is said: a rating keeps an engine busy with all of a row's tokens."""


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A rated row: which it is, a hash over its prompt, and its shares in the figures."""

    id: str
    content: str
    prompt: str
    shares: dict[str, Ratio]


@dataclass
class Scored:
    """What a run has after scoring.

    Attributes:
        run: the run.
        rows: those that were rated, in the order of the data.
        policies: what wrote them.
        failed: why rows could not be rated, by id.
        fresh: how many were rated by this process.
    """

    run: RunData
    rows: list[ScoredRow] = field(default_factory=list)
    policies: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    fresh: int = 0

    def bags(self) -> Iterator[tuple[ScoredRow, Bag]]:
        """Each row and what it says, one after the other from the file."""
        with opened(self.run.folder) as store:
            for row in self.rows:
                found = store.get(row.id, row.content)
                if found is not None:
                    yield row, found.bag

    def publish(self, scorer: Scorer, **more: Any) -> None:
        """Write ``scores.jsonl``; ``more`` is said of the scorer besides who it is."""
        publish(
            self.run.folder,
            {**scorer.identity, **more},
            ((row.id, row_scores(row.shares)) for row in self.rows),
        )


def check_rows(run: RunData) -> None:
    """See that a run has something to score.

    Raises:
        ConfigError: it has no finished row.
        DataError: its first row is none.
    """
    if next(run.rows(check=False), None) is None:
        wait = "; it is still going: wait for its first row" if run.going else "; finish it with 'tessy run'"
        raise ConfigError(f"{run.folder}: has no finished row to score{wait}")


async def score_run(
    run: RunData,
    scorer: Scorer,
    *,
    limit: int | None = None,
    concurrency: int | None = None,
    anew: bool = False,
    told: Callable[[Scored], None] = lambda scored: None,
) -> Scored:
    """Rate a run's rows, keep what comes of it in its folder, and write ``scores.jsonl``.

    Rows that were rated before, and have not changed, are not rated again. Cancelled or failing, it keeps
    what it has, and the next call goes on from there; what it writes then never has fewer rows than before. A
    row that the engine refuses costs that row only.

    Args:
        run: rows that are finished by now are scored; it may still be going.
        scorer: who rates.
        limit: at most so many rows, the first ones.
        concurrency: rows at once; ``None``: what the backend serves well, at most 16.
        anew: replace scores by another scorer.
        told: called after each row that was rated.

    Raises:
        ConfigError: it has scores by another scorer, or another process scores it.
        DataError: a row is none, or its spans do not add up.
        BackendDown: the engine is out of service.
        TessyError: the scores cannot be written.
    """
    scored, seen = Scored(run), dict[str, str]()
    with opened(run.folder) as store:
        store.claim(scorer.identity, anew=anew)
        at_once = concurrency or min(_CONCURRENCY, scorer.max_active or _CONCURRENCY)
        whole = False
        try:
            await _rate(scored, scorer, store, seen, limit, at_once, told)
            whole = True
        finally:
            store.flush()
            for id, content in seen.items():
                if (found := store.get(id, content)) is not None:
                    scored.rows.append(ScoredRow(id, content, found.prompt, ratios(found.sums)))
            if whole or len(scored.rows) > published_rows(run.folder):
                scored.publish(scorer)
    return scored


async def _rate(
    scored: Scored,
    scorer: Scorer,
    store: ScoreStore,
    seen: dict[str, str],
    limit: int | None,
    concurrency: int,
    told: Callable[[Scored], None],
) -> None:
    def missing() -> Iterator[Row]:
        for row in islice(scored.run.rows(), limit):
            seen[row.id] = content_of(row)
            scored.policies.add(str(row.tessy.get("policy")))
            if not store.has(row.id, seen[row.id]):
                yield row

    async def rate(row: Row) -> None:
        try:
            store.add(await scorer.rate(row))
            scored.fresh += 1
        except BackendDown:
            raise
        except (BackendError, PluginError, DataError) as error:
            scored.failed[row.id] = str(error)
        told(scored)

    await Scheduler(rate, concurrency).run(missing())
