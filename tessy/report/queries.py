"""Every number of a report that is a sum: the SQL that computes it from ``journal.sqlite``.

The page shows these statements, and docs/report.md lists them, so that anybody can check a number. Those that
go through all spans are not run for a report: it reads the rows anyway, and adds up as it goes. A test holds
both against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessy.journal import Store

__all__ = ["QUERIES", "Query", "figures"]


@dataclass(frozen=True, slots=True)
class Query:
    """A number or a table of them.

    Attributes:
        name: under which the figures have it.
        says: what it is.
        sql: one statement; its columns are named as the figures name them.
        from_rows: a report adds it up from the rows.
    """

    name: str
    says: str
    sql: str
    from_rows: bool = False


QUERIES: tuple[Query, ...] = (
    Query(
        "rows",
        "prompts and samples by status",
        "SELECT status, count(*) AS rows FROM rows WHERE wanted GROUP BY status ORDER BY status",
    ),
    Query(
        "failures",
        "failed rows by the reason of their last attempt",
        "SELECT f.reason, count(*) AS rows FROM failures f "
        "JOIN rows r ON r.n = f.row AND r.attempt = f.attempt "
        "WHERE r.status = 'failed' AND r.wanted GROUP BY f.reason ORDER BY rows DESC, f.reason",
    ),
    Query(
        "tokens",
        "tokens and characters of the finished rows, by author and phase",
        "SELECT s.author, s.phase, sum(s.tokens) AS tokens, sum(length(s.text)) AS characters "
        "FROM rows r JOIN spans s ON s.row = r.n "
        "AND s.candidate = coalesce(json_extract(r.selected, '$.candidate'), 0) "
        "WHERE r.status = 'done' GROUP BY s.author, s.phase ORDER BY s.author, s.phase",
        from_rows=True,
    ),
    Query(
        "switches",
        "changes of author in the finished rows",
        "SELECT count(*) AS switches FROM (SELECT s.author, "
        "lag(s.author) OVER (PARTITION BY s.row ORDER BY s.seq) AS before "
        "FROM rows r JOIN spans s ON s.row = r.n "
        "AND s.candidate = coalesce(json_extract(r.selected, '$.candidate'), 0) "
        "WHERE r.status = 'done') WHERE author <> before",
        from_rows=True,
    ),
    Query(
        "finish",
        "finished rows by how their last turn ended",
        "SELECT t.finish, count(*) AS rows FROM rows r JOIN turns t ON t.row = r.n "
        "AND t.candidate = coalesce(json_extract(r.selected, '$.candidate'), 0) "
        "AND t.n = (SELECT max(n) FROM turns WHERE row = r.n AND candidate = t.candidate) "
        "WHERE r.status = 'done' GROUP BY t.finish ORDER BY rows DESC, t.finish",
        from_rows=True,
    ),
    Query(
        "usage",
        "what the engines counted, of all rows and attempts, by role and purpose",
        "SELECT role, purpose, sum(prompt) AS prompt, sum(cached) AS cached, "
        "sum(generated) AS generated, sum(kept) AS kept, sum(discarded) AS discarded, "
        "sum(requests) AS requests, sum(estimated) AS estimated "
        "FROM usage GROUP BY role, purpose ORDER BY role, purpose",
    ),
    Query(
        "seconds",
        "how long was written, in all processes",
        "SELECT value FROM meta WHERE key = 'seconds'",
    ),
)


def figures(store: Store) -> Mapping[str, list[dict[str, Any]]]:
    """Those that only the journal has, by name: the rows that each statement gives."""
    return {query.name: store.select_all(query.sql) for query in QUERIES if not query.from_rows}
