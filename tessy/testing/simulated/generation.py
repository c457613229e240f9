"""One generation of a simulated model: its tokens as they come, where it stops, and its record."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from tessy.seeds import derive
from tessy.testing.simulated.cache import Ids
from tessy.testing.simulated.engine import Engine
from tessy.testing.simulated.model import Speed, lognormal
from tessy.testing.simulated.records import Log, Record
from tessy.testing.simulated.traces import Place, Traces
from tessy.testing.simulated.vocabulary import Vocabulary

__all__ = ["Generator", "Piece", "Wanted", "first_token"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for.

    Attributes:
        most: tokens at most.
        stop_ids: tokens that end it, besides the end of the turn.
        stop: strings that end it; the last is left out.
        special: whether control tokens are shown in the text.
    """

    most: int
    stop_ids: Collection[int] = ()
    stop: Sequence[str] = ()
    special: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens that have come, the text that each adds, and why it is over, in the last."""

    ids: Sequence[int]
    texts: Sequence[str]
    finish: str | None = None


def first_token(speed: Speed, seed: int, model: str, place: Place) -> float:
    """Seconds to the first token there when all of the prompt is cached: the same in every run."""
    random = Random(derive(seed, model, place.trace, place.phase, place.position))
    return lognormal(random, speed.first, speed.first_spread)


class Generator:
    """Writes for one model."""

    def __init__(
        self, model: str, vocabulary: Vocabulary, traces: Traces, engine: Engine, log: Log, seed: int
    ) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._traces = traces
        self._engine = engine
        self._log = log
        self._seed = seed
        words = vocabulary
        self._marks = frozenset((words.think, words.close, words.line, words.lines, words.end))
        self._texts: dict[int, str] = {}

    async def generate(self, ids: Ids, wanted: Wanted, record: Record) -> AsyncGenerator[Piece, None]:
        """Go on from a prompt. Closing it, or cancelling its reader, aborts it; it is logged in any case."""
        engine, place = self._engine, Place(record.trace, record.phase, record.position)
        tokens = self._traces.go_on(place)
        tail = _Tail(wanted.stop)
        try:
            async with engine.seat(ids, self._first(place)) as seat:
                record.admitted, record.cached = seat.admitted, seat.cached
                record.first, record.prefill = seat.first, seat.prefill
                async with aclosing(engine.due(seat, wanted.most)) as due:
                    async for count in due:
                        piece = self._piece(list(islice(tokens, count)), len(seat.written), wanted, tail)
                        seat.written += piece.ids
                        self._note(record, piece.ids, place)
                        if piece.finish is not None:
                            record.finish = piece.finish
                        yield piece
                        if piece.finish is not None:
                            return
        finally:
            record.ended = engine.clock.now()
            record.admitted = record.admitted or record.ended
            self._log.add(record)

    def record(self, ids: Ids) -> Record:
        """The record of a request that has just come."""
        place = self._traces.find(ids)
        arrived = self._engine.clock.now()
        return Record(self._model, place.trace, place.phase, place.position, len(ids), arrived=arrived)

    def text(self, token: int, *, special: bool) -> str:
        """What a token adds to the text."""
        if token == self._vocabulary.end and not special:
            return ""
        text = self._texts.get(token)
        if text is None:
            text = self._texts[token] = self._vocabulary.text(token)
        return text

    def logprobs(self, ids: Sequence[int], count: int) -> Mapping[str, Any]:
        """Made-up ones of generated tokens and ``count`` alternatives, as completions show them."""
        found = [
            [(self.text(token, special=True), value) for token, value in self._rated(token, count)]
            for token in ids
        ]
        return {
            "tokens": [one[0][0] for one in found],
            "token_logprobs": [one[0][1] for one in found],
            # Tokens that look alike share a name; the likeliest stands.
            "top_logprobs": [dict(reversed(one)) for one in found],
            "text_offset": [0] * len(ids),
        }

    def prompt_logprobs(self, ids: Ids, count: int) -> list[dict[str, Any] | None]:
        """The same for a prompt: one object a token, by id; the first has none."""
        found: list[dict[str, Any] | None] = [None]
        for token in ids[1:]:
            rated = enumerate(self._rated(token, max(1, count)), 1)
            found.append(
                {
                    str(i): {"logprob": value, "rank": rank, "decoded_token": self.text(i, special=True)}
                    for rank, (i, value) in rated
                }
            )
        return found

    def _rated(self, token: int, count: int) -> list[tuple[int, float]]:
        """A token with its own log-probability first, then ``count - 1`` others that are less likely."""
        size, own = self._vocabulary.size, -0.05 * (1 + token % 9)
        return [(token, own)] + [((token + 97 * i) % size, own - 0.5 * (i + 1)) for i in range(1, count)]

    def _first(self, place: Place) -> float:
        return first_token(self._engine.speed, self._seed, self._model, place)

    def _piece(self, ids: list[int], before: int, wanted: Wanted, tail: _Tail) -> Piece:
        texts: list[str] = []
        for i, token in enumerate(ids):
            if token == self._vocabulary.end or token in wanted.stop_ids:
                return Piece(ids[: i + 1], [*texts, ""], "stop")
            text = self.text(token, special=wanted.special)
            left = tail.add(text)
            if left is not None:
                return Piece(ids[: i + 1], [*texts, left], "stop")
            texts.append(text)
        return Piece(ids, texts, "length" if before + len(ids) >= wanted.most else None)

    def _note(self, record: Record, ids: Sequence[int], place: Place) -> None:
        now = self._engine.clock.now() - record.arrived
        record.times.extend(array("f", [now]) * len(ids))
        for token in ids:
            if token in self._marks:
                record.marks += 1
            elif place.phase == "answer" or record.marks <= 2 * (place.phase == "open"):
                record.text += 1


class _Tail:
    """The end of a text, in which a stop string may come."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._keep = max(map(len, self._stop), default=0)
        self._text = ""

    def add(self, text: str) -> str | None:
        """What is left of the text if a stop string ends in it; ``None``: none does."""
        if not self._keep:
            return None
        before = len(self._text)
        self._text += text
        ends = [at for stop in self._stop if (at := self._text.find(stop)) >= 0]
        if ends:
            return self._text[before : max(before, min(ends))]
        self._text = self._text[-self._keep :]
        return None
