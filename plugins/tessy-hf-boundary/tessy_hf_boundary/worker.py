"""What runs in the detector's thread: the authors' models, and what they remember of the texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tessy import Label, Window
from tessy.errors import ConfigError
from tessy_hf_boundary.classifier import Classifier
from tessy_hf_boundary.lines import LineKey, Lines
from tessy_hf_boundary.options import HfBoundaryOptions
from tessy_hf_boundary.reader import Reader, Reading
from tessy_hf_boundary.runner import Runner
from tessy_hf_boundary.source import Source, locate
from tessy_hf_boundary.words import NEWLINES

__all__ = ["AHEAD", "Model", "Worker"]

AHEAD = 64
"""Characters that a bidirectional model looks ahead if the user does not say."""
_MIB = 1 << 20


class Model:
    """One model, ready to label; several authors may share it.

    Raises:
        ConfigError: it cannot be used, or an option does not go with it.

    Attributes:
        source: its files.
        dtype: what it computes in.
        incremental: whether keys and values of what it has read are kept.
        ahead: characters that it looks ahead; ``None``: it is causal.
    """

    def __init__(self, source: Source, options: HfBoundaryOptions, lines: Lines) -> None:
        classifier = Classifier(source, options)
        self.source = source
        self.dtype = classifier.dtype
        self.incremental = classifier.incremental and options.cache > 0
        self.ahead = None if classifier.causal else options.lookahead or AHEAD
        if classifier.causal and options.lookahead is not None:
            raise ConfigError(
                f"detector hf-boundary: lookahead: model {source.name!r} is causal, "
                "it sees nothing on its right"
            )
        self.runner = Runner(classifier, lines if self.incremental else None, batch=options.batch)
        self.reader = Reader(
            classifier.encoder,
            shift=options.shift,
            window=options.window,
            limit=classifier.limit,
            ahead=self.ahead,
        )


class Worker:
    """The models of all authors. Blocks, and is not for several threads at a time.

    Args:
        models: by author; ``None`` is everybody who is not named.
        options: the detector's.

    Raises:
        ConfigError: a model cannot be used, or an option does not go with it.

    Attributes:
        models: by author.
        lookahead: characters, what the detector has to declare.
        lines: what is remembered.
    """

    def __init__(self, models: Mapping[str | None, str], options: HfBoundaryOptions) -> None:
        self.lines = Lines(options.cache * _MIB)
        named = dict.fromkeys(models.values())
        made = {model: Model(locate(model, options.revision), options, self.lines) for model in named}
        self.models = {author: made[model] for author, model in models.items()}
        self._all = list(made.values())
        self._threshold = options.threshold
        self.lookahead = max(model.ahead or 0 for model in self._all)
        if options.shift == 0:  # a word must be whole before its own first token is known
            self.lookahead = max(self.lookahead, NEWLINES)

    def label(self, windows: Sequence[Window], stopped: Callable[[], bool]) -> list[list[Label]]:
        """Label a batch.

        Raises:
            Stopped: between two forward passes, if ``stopped`` says so; what was read is kept.
            ConfigError: an author has no model.
        """
        models = [self._model(window.author) for window in windows]
        labels: list[list[Label]] = [[] for _ in windows]
        for number, model in enumerate(self._all):
            mine = [i for i, found in enumerate(models) if found is model]
            readings = [model.reader.read(windows[i]) for i in mine]
            answers = iter(model.runner.run(list(_asked(number, readings)), stopped))
            for i, reading in zip(mine, readings, strict=True):
                labels[i] = reading.labels([next(answers) for _ in reading.asked], self._threshold)
        return labels

    def forget(self, key: str) -> None:
        """Drop all that is remembered of a trajectory."""
        self.lines.forget(key)
        for model in self._all:
            model.reader.forget(key)

    def _model(self, author: str) -> Model:
        model = self.models.get(author) or self.models.get(None)
        if model is None:
            raise ConfigError(
                f"detector hf-boundary: no model for text by {author!r}: name one for all, hf-boundary:MODEL"
            )
        return model


def _asked(model: int, readings: Sequence[Reading]) -> list[tuple[LineKey, tuple[int, ...]]]:
    return [
        (LineKey(reading.window.key, model, reading.window.anchor, asked.start), asked.ids)
        for reading in readings
        for asked in reading.asked
    ]
