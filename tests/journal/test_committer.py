from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from concurrent.futures import Future

from tessy.journal.committer import Item, ThreadCommitter
from tessy.journal.entries import Entry, Group

LONG = 3600.0
"""Seconds: who lingers so long has not been woken."""


class Commits:
    """The groups that were committed, in order."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.happened = threading.Semaphore(0)

    def __call__(self, items: Sequence[Item]) -> None:
        self.groups.append([int(item.group.entries[0].values[0]) for item in items if item.group is not None])
        for item in items:
            if item.done is not None:
                item.done.set_result(None)
        self.happened.release()

    @property
    def numbers(self) -> list[int]:
        return [number for group in self.groups for number in group]


def item(number: int) -> Item:
    return Item(Group((Entry("done", (number,)),)))


def flush(committer: ThreadCommitter) -> Future[None]:
    done: Future[None] = Future()
    committer.put(Item(done=done))
    return done


def test_what_is_queued_while_it_lingers_is_one_group() -> None:
    commits = Commits()
    committer = ThreadCommitter(commits, linger=0.5)
    committer.start()
    for number in range(500):
        committer.put(item(number))
    assert commits.happened.acquire(timeout=30)
    assert commits.groups == [list(range(500))]
    committer.close()


def test_a_flush_does_not_linger() -> None:
    commits = Commits()
    committer = ThreadCommitter(commits, linger=LONG)
    committer.start()
    for number in range(3):
        committer.put(item(number))
        flush(committer).result(timeout=30)
        assert commits.numbers == list(range(number + 1))
    committer.close()


def test_closing_commits_what_is_queued() -> None:
    commits = Commits()
    committer = ThreadCommitter(commits, linger=LONG)
    committer.start()
    for number in range(10):
        committer.put(item(number))
    committer.close()
    assert commits.numbers == list(range(10))


def test_a_flush_ends_when_all_before_it_is_committed() -> None:
    commits = Commits()
    committer = ThreadCommitter(commits, linger=0.001)
    committer.start()
    rng = random.Random(0)
    for number in range(3000):
        committer.put(item(number))
        if rng.random() < 0.1:
            flush(committer).result(timeout=30)
            assert commits.numbers == list(range(number + 1))
    committer.close()
    assert commits.numbers == list(range(3000))
