"""From a window to the tokens whose labels are wanted, and from those to labels of words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tessy import Label, Window
from tessy_hf_boundary.encoder import Encoder
from tessy_hf_boundary.text import Text, Word

__all__ = ["Asked", "Reader", "Reading"]

_TEXTS = 512
"""Texts whose words and tokens are remembered, so that only what is new is looked at."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Tokens to run, from the one that the model sees first (``start``, counted from the anchor) on."""

    start: int
    ids: tuple[int, ...]


@dataclass(slots=True)
class Reading:
    """What a window asks: sequences to run, and which label in which of them decides about which word."""

    window: Window
    words: list[Word]
    asked: list[Asked] = field(default_factory=list)
    answers: list[tuple[int, int] | None] = field(default_factory=list)

    def labels(self, probabilities: Sequence[Sequence[float]], threshold: float) -> list[Label]:
        """The window's labels, given the probabilities of every sequence asked."""
        labels, at = [], self.window.new_from
        for word, answer in zip(self.words, self.answers, strict=True):
            # Nothing stands before the first word of a trace. Traces open with style.
            p = None if answer is None else probabilities[answer[0]][answer[1]]
            style = p is None or p >= threshold
            sure = 0.5 if p is None else min(1.0, max(0.0, p if style else 1 - p))
            labels.append(Label(at, word.end, style, round(sure, 4)))
            at = word.end
        return labels


class Reader:
    """Reads windows for one model.

    A token is labelled from at most ``window`` tokens: the model begins to read at the anchor, and then
    every half of that many tokens anew, half of them further left. So where it begins depends on the
    token's place alone, and every label is a function of the text from the anchor on.

    Args:
        encoder: the model's.
        shift: how many tokens left of a word the label stands that decides about its first one.
        window: tokens.
        limit: the longest sequence that the model takes, special tokens included.
        ahead: characters right of a word's beginning that the model sees, in two halves: words that begin
            in the same half share one sequence. ``None``: it sees nothing on its right.
    """

    def __init__(self, encoder: Encoder, *, shift: int, window: int, limit: int, ahead: int | None) -> None:
        self._encoder = encoder
        self._shift = shift
        self._longest = max(4, limit - len(encoder.prefix) - len(encoder.suffix))
        self._half = max(1, min(window, self._longest) // 2)
        self._ahead = ahead
        self._texts: OrderedDict[tuple[str, int], Text] = OrderedDict()

    def read(self, window: Window) -> Reading:
        """What is to be run for the window's new words."""
        text = self._text(window)
        reading = Reading(window, text.words_behind(window.new_from))
        if self._ahead is None:
            self._ask(reading, text.tokens)
        else:
            self._ask_ahead(reading, text, self._ahead // 2)
        return reading

    def forget(self, key: str) -> None:
        """Drop what is remembered of a trajectory's text."""
        for place in [place for place in self._texts if place[0] == key]:
            del self._texts[place]

    def _text(self, window: Window) -> Text:
        place = window.key, window.anchor
        text = self._texts.pop(place, None) or Text(self._encoder, self._shift)
        text.read(window.text, final=window.final)
        self._texts[place] = text
        if len(self._texts) > _TEXTS:
            self._texts.popitem(last=False)
        return text

    def _ask(self, reading: Reading, tokens: Sequence[int]) -> None:
        """A causal model: one sequence for all labels that it reads from the same token on."""
        ends: dict[int, int] = {}
        for word in reading.words:
            start = self._start(word.token)
            ends[start] = max(ends.get(start, 0), word.token + 1)
        places = {start: i for i, start in enumerate(ends)}
        reading.asked = [self._asked(tokens, start, end) for start, end in ends.items()]
        reading.answers = [self._answer(places, self._start(w.token), w.token) for w in reading.words]

    def _ask_ahead(self, reading: Reading, text: Text, half: int) -> None:
        """A model that looks ahead: one sequence for all words that look equally far, left and right."""
        window, places = reading.window, dict[tuple[int, int], int]()
        for i, word in enumerate(reading.words):
            reach = (word.start // half + 2) * half
            if reach >= len(window.text) and not window.final:
                del reading.words[i:]
                return
            start = self._start(word.token)
            end = max(word.token + 1, text.tokens_within(reach))
            key = start, min(end, start + self._longest)
            if key not in places:
                places[key] = len(places)
                reading.asked.append(self._asked(text.tokens, *key))
            reading.answers.append(self._answer({start: places[key]}, start, word.token))

    def _start(self, token: int) -> int:
        return max(0, token // self._half - 1) * self._half

    def _asked(self, tokens: Sequence[int], start: int, end: int) -> Asked:
        suffix = () if self._ahead is None else self._encoder.suffix
        return Asked(start, (*self._encoder.prefix, *tokens[start:end], *suffix))

    def _answer(self, places: dict[int, int], start: int, token: int) -> tuple[int, int] | None:
        at = len(self._encoder.prefix) + token - start
        return (places[start], at) if at >= 0 else None
