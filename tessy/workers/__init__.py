"""One run in several processes: for when one core cannot read all the streams.

::

    the run's process                                   a worker process, N of them
    Fleet: deals rows, restarts who dies    ──rows──▶   RowWriter, backends, detector, policy
    Journal, Dataset, progress, budget      ◀─frames──  Outbox (to be journaled), Tally (to be shown)

The run's process holds the lock and alone writes the journal; workers read it where a row begins. Each pair
has a socket: when the run's process dies, however, its workers read an end of file and exit at once.
"""

from __future__ import annotations

__all__: list[str] = []
