"""Scores a run: every finished row that is not scored yet, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from tessy.errors import BackendDown, BackendError, ConfigError, DataError, PluginError
from tessy.metrics import Ratio, ratios, row_scores
from tessy.rundata import Row, RunData
from tessy.scheduler import Scheduler
from tessy.scoring.published import publish
from tessy.scoring.scorer import Scorer, content_of
from tessy.scoring.store import ScoreStore, opened

__all__ = ["Scored", "score_run"]

_CONCURRENCY = 16
"""Rows at once where nothing else is said: a rating keeps an engine busy with all of a row's tokens."""


@dataclass
class Scored:
    """What a run has after scoring.

    Attributes:
        run: the run.
        rows: each row's prompt (a hash), and its shares in the figures, in the order of the data.
        failed: why rows could not be rated, by id.
        fresh: how many were rated by this process.
    """

    run: RunData
    rows: list[tuple[str, Mapping[str, Ratio]]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    fresh: int = 0


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
    what it has; the next call goes on from there. A row that the engine refuses costs that row only.

    Args:
        run: rows that are finished by now are scored; it may still be going.
        scorer: who rates.
        limit: at most so many rows, the first ones.
        concurrency: rows at once; ``None``: what the backend serves well, at most 16.
        anew: replace scores by another scorer.
        told: called after each row.

    Raises:
        ConfigError: it has no finished row, or scores by another scorer, or another process scores it.
        DataError: a row is none, or its spans do not add up.
        BackendDown: the engine is out of service.
        TessyError: the scores cannot be written.
    """
    if next(run.rows(check=False), None) is None:
        going = "; it is still going: wait for its first row" if run.going else ""
        raise ConfigError(f"{run.folder}: has no finished row to score{going}")
    scored, seen = Scored(run), dict[str, str]()
    with opened(run.folder) as store:
        store.claim(scorer.identity, anew=anew)
        at_once = concurrency or min(_CONCURRENCY, scorer.max_active or _CONCURRENCY)
        try:
            await _rate(run, scorer, store, scored, seen, limit, at_once, told)
        finally:
            store.flush()
            found = [record for id, content in seen.items() if (record := store.get(id, content)) is not None]
            shares = [ratios(record.sums) for record in found]
            publish(
                run.folder,
                scorer.identity,
                ((record.id, row_scores(one)) for record, one in zip(found, shares, strict=True)),
            )
            scored.rows = [(record.prompt, one) for record, one in zip(found, shares, strict=True)]
    return scored


async def _rate(
    run: RunData,
    scorer: Scorer,
    store: ScoreStore,
    scored: Scored,
    seen: dict[str, str],
    limit: int | None,
    concurrency: int,
    told: Callable[[Scored], None],
) -> None:
    def missing() -> Iterator[Row]:
        for row in islice(run.rows(), limit):
            seen[row.id] = content_of(row)
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
