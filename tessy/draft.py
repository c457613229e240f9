"""A draft: what one turn has streamed so far, with what is known about it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from copy import copy

from tessy.seam import place
from tessy.types import Chunk, Finish, Kind, Label, Phase, Role, Span, TokenLogprob, Turn

__all__ = ["Draft"]

_FAR = 4096
"""Characters left of the settled end in which a place for a checkpoint is looked for."""


class Draft:
    """The text of one turn in the making, its tokens, and the labels of its settled part.

    Only the first ``settled`` characters are labelled (or, where a policy needs no labels, known);
    `SwitchPolicy.watch` decides about those. After a resume inside the turn the draft begins with the
    checkpointed pieces, whose tokens are counted but no longer listed.

    Attributes:
        turn: what the policy asked for.
        labels: labels of ``text[:settled]`` in order, without gap; empty if none are needed.
        settled: how many characters `watch` may decide about.
        passed: how many of them it has let pass before. What depends on a token alone need not be looked
            at again: `fresh` are the others.
        committed: how many characters are in the journal already: no cut can fall before.
        committed_tokens: their tokens.
        ids, offsets: the listed tokens so far, where the engine shows them (parallel lists).
        logprobs: parallel to ``ids`` if the turn asked for them.
        tokens: how many tokens; ``exact``: whether that is counted, not estimated.
        finish: why the stream ended, ``None`` while it runs.
        paused: the request ended by a limit of the core's own, and a further one goes on with the draft.
    """

    def __init__(self, turn: Turn, begun: Iterable[Span] = ()) -> None:
        self.turn = turn
        self.labels: list[Label] = []
        self._firsts: dict[bool, int] = {}
        self.ids: list[int] = []
        self.offsets: list[int] = []
        self.logprobs: list[TokenLogprob] = []
        self.tokens: int = 0
        self.exact: bool = True
        self.via: str | None = None
        self.finish: Finish | None = None
        self.paused: bool = False
        self._parts: list[str] = []
        self._length = 0
        self._split = False  # the text ends inside the last token
        for span in begun:
            at = self._length
            self.add_labels([Label(at + i.start, at + i.end, i.style, i.p) for i in span.labels])
            self._parts.append(span.text)
            self._length += len(span.text)
            self.tokens += span.tokens
            self.exact &= span.exact
        self.settled: int = self._length
        self.passed: int = self._length
        self.committed: int = self._length
        self.committed_tokens: int = self.tokens
        self._unlisted = self.tokens

    @property
    def role(self) -> Role:
        """Who writes it."""
        return self.turn.role

    @property
    def phase(self) -> Phase:
        """Where it belongs."""
        return self.turn.phase

    def __len__(self) -> int:
        return self._length

    @property
    def text(self) -> str:
        """The draft so far."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def since(self, start: int) -> str:
        """The text from character ``start`` on; takes time for what it returns, not for the whole draft."""
        wanted, parts = self._length - start, []
        if self._parts and len(self._parts[-1]) == wanted:  # what the last chunk brought
            return self._parts[-1]
        for part in reversed(self._parts):
            if wanted <= 0:
                break
            parts.append(part[-wanted:] if wanted < len(part) else part)
            wanted -= len(part)
        return "".join(reversed(parts))

    def extend(self, chunk: Chunk) -> None:
        """Append a chunk of the stream.

        Raises:
            ValueError: the turn asked for log-probabilities, and a token has none: a policy that decides by
                them would let everything pass.
        """
        ids, offsets, text = chunk.ids, chunk.offsets, chunk.text
        if self.turn.top_logprobs and not (chunk.tokens == len(offsets or ()) == len(chunk.logprobs or ())):
            raise ValueError("it was asked for log-probabilities and sent tokens without them")
        if ids is not None and offsets is not None:
            start = self._length
            self.ids.extend(ids)
            if len(offsets) == 1:
                self.offsets.append(start + offsets[0])
            else:
                self.offsets.extend([start + offset for offset in offsets])
        if chunk.logprobs is not None:
            self.logprobs.extend(chunk.logprobs)
        if text:
            self._parts.append(text)
            self._length += len(text)
        self.tokens += chunk.tokens
        self.exact &= chunk.exact
        self.via = chunk.via or self.via
        self.finish = chunk.finish
        self.paused = False

    def pause(self) -> None:
        """The request has ended and the draft has not: its last token is whole."""
        self.finish = None
        self.paused = True

    def end_at(self, end: int, finish: Finish = "stop") -> None:
        """Drop what follows character ``end``: the core found a stop string there."""
        self.tokens = self.tokens_before(end)
        listed = bisect_left(self.offsets, end)
        following = self.offsets[listed] if listed < len(self.offsets) else self._length
        self._split = following > end
        del self.ids[listed:], self.offsets[listed:], self.logprobs[listed:]
        self._parts = [self.text[:end]]
        self._length = end
        self.finish = finish

    def drop_end(self) -> None:
        """Keep the text but not the mark that ended it, as if the stream had been stopped just before."""
        self.finish = None

    def add_labels(self, labels: Iterable[Label]) -> None:
        """Append labels (in draft characters); neighbours that say the same become one."""
        for label in labels:
            last = self.labels[-1] if self.labels else None
            # Only with equal p: what a policy sees must not depend on how the text arrived.
            if last is not None and (last.style, last.p, last.end) == (label.style, label.p, label.start):
                self.labels[-1] = Label(last.start, label.end, label.style, label.p)
            else:
                self.labels.append(label)
                self._firsts.setdefault(label.style, label.start)

    def guessed(self, labels: Iterable[Label]) -> Draft:
        """The draft as it would be if what follows its settled part were settled too, labelled so."""
        other = copy(self)
        other.labels, other._firsts = self.labels[:], self._firsts.copy()
        other.add_labels(labels)
        other.settled = other.labels[-1].end if other.labels else self.settled
        other._parts = [self.text]
        return other

    def first(self, *, style: bool) -> int | None:
        """Where the first settled stretch that is style (or is not) begins; ``None`` if there is none."""
        return self._firsts.get(style)

    @property
    def fresh(self) -> range:
        """Which of the listed tokens (``offsets``, ``logprobs``) `watch` has not let pass yet."""
        end = len(self.offsets) if self.finish is not None else bisect_left(self.offsets, self.settled)
        return range(bisect_left(self.offsets, self.passed), end)

    def tokens_before(self, at: int) -> int:
        """How many of the draft's tokens begin before character ``at``; estimated without offsets."""
        if self.offsets:
            return self._unlisted + bisect_left(self.offsets, at)
        return self.tokens if at >= self._length else round(self.tokens * at / self._length)

    def token_starts(self) -> Sequence[int] | None:
        """Where tokens begin that a cut may respect; ``None`` where the engine hides them."""
        return self.offsets or None

    def block_end(self, block: int, within: int | None = None) -> int | None:
        """Where the next whole block of ``block`` tokens ends, once that much is settled.

        ``None`` while it is not, or beyond ``within``, if that is given. A block that ends inside a character
        is passed over: the text must split there, and the next request must begin exactly there. Where the
        engine hides tokens, the next request is text alone, so a block ends where every tokenizer takes the
        end of it for a boundary.
        """
        if not self.offsets:
            due = self.finish is None and self.tokens - self.committed_tokens >= block
            return self._safe_end() if due and self.settled > self.committed else None
        limit = self.settled if within is None else within
        token = (self.committed_tokens // block + 1) * block - self._unlisted
        while token < len(self.offsets) and self.offsets[token] <= limit:
            if self.offsets[token] > self.offsets[token - 1]:
                return self.offsets[token]
            token += block
        return None

    def span(self, end: int, turn: int, *, labels: bool = False) -> Span:
        """The text from what is committed up to ``end``, as a span of that turn."""
        start = self.committed
        # Tokens that end by ``end``; with the whole draft, those of the end mark too.
        first = bisect_left(self.offsets, start) if start else 0
        last = self._whole_tokens(end)
        covered = (self.offsets[last] if last < len(self.offsets) else self._length) - start
        kept = [i for i in self.labels if i.end > start and i.start < end] if labels else []
        return Span(
            author=self.role,
            phase=self.phase,
            text=self.text[start:end],
            turn=turn,
            tokens=self.tokens_before(end) - self.committed_tokens,
            ids=tuple(self.ids[first:last]) if self.ids else None,
            covered=covered if self.ids else 0,
            exact=self.exact,
            kind=self.kind(start, end),
            via=self.via,
            labels=tuple(
                Label(max(i.start, start) - start, min(i.end, end) - start, i.style, i.p) for i in kept
            ),
        )

    def commit(self, end: int) -> None:
        """The text up to ``end`` is in the journal."""
        self.committed_tokens = self.tokens_before(end)
        self.committed = end

    def kind(self, start: int, end: int) -> Kind | None:
        """What most of ``text[start:end]`` was labelled as; ``capability`` on a tie."""
        style = other = 0
        for label in self.labels:
            overlap = min(end, label.end) - max(start, label.start)
            if overlap > 0:
                style, other = (style + overlap, other) if label.style else (style, other + overlap)
        return None if style + other == 0 else ("style" if style > other else "capability")

    def _safe_end(self) -> int | None:
        """The last settled place that is safe to hand over, whatever follows the text."""
        begin = max(self.committed, self.settled - _FAR)
        left = max(0, begin - _FAR)  # what stands left of a place tells whether it is one
        text = self.since(left)
        # Whether the end of the text is a place shows only when the next word has begun.
        at = min(self.settled - left, len(text.rstrip()) - 1)
        end = left + place(text, at, start=begin - left)
        return end if begin < end <= self.settled else None

    def _whole_tokens(self, end: int) -> int:
        """How many listed tokens lie wholly before ``end``."""
        if end >= self._length and (self.finish is not None or self.paused) and not self._split:
            return len(self.offsets)
        listed = bisect_left(self.offsets, end)
        if listed < len(self.offsets) and self.offsets[listed] == end:
            return listed
        # The last one reaches beyond, or may: of a stream cut off at its end, text may be held back. With it
        # go those that share a character with it.
        last = max(0, listed - 1)
        while last and self.offsets[last - 1] == self.offsets[last]:
            last -= 1
        return last
