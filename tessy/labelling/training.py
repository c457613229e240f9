"""Training: from labelled segments to a folder that a detector takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tessy.builtin import ARCHITECTURES
from tessy.errors import ConfigError
from tessy.labelling.segments import Segment
from tessy.lock import locked

__all__ = ["Recipe", "train"]


@dataclass(frozen=True)
class Recipe:
    """What is to be trained, and how.

    Attributes:
        architecture: one of `tessy.builtin.ARCHITECTURES`.
        settings: the architecture's own; what is not given has its default.
        seed: of everything random.
    """

    architecture: str
    settings: dict[str, Any]
    seed: int = 0


def train(
    recipe: Recipe,
    segments: Sequence[Segment],
    out: Path,
    *,
    dev: Sequence[Segment] = (),
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train on ``segments``, write what was learnt into the folder ``out``, and return figures.

    The folder appears as a whole at the end; stopped before, it is not there.

    Args:
        recipe: what to train.
        segments: to learn from.
        out: a folder that is empty or does not exist.
        dev: to watch the training by; nothing is learnt from it.
        log: gets a line of text now and then.

    Raises:
        ConfigError: the architecture or a setting of it is unknown, a package is missing, or ``out`` is not
            free or cannot be written.
    """
    if recipe.architecture not in ARCHITECTURES:
        raise ConfigError(f"no architecture {recipe.architecture!r}; there are {', '.join(ARCHITECTURES)}")
    if not segments:
        raise ConfigError("there are no segments to learn from")
    architecture = ARCHITECTURES[recipe.architecture]
    _check_settings(recipe)
    missing = [name for name in architecture.packages if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training {recipe.architecture} needs {' and '.join(missing)}; install the extra 'train': "
            "pip install 'tessy-llm[train]'"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is there already; choose another -o")
    run = import_module(architecture.module).train
    with _begun(out) as folder:
        figures: dict[str, Any] = run(
            segments, folder, dev=list(dev) or None, seed=recipe.seed, log=log, **recipe.settings
        )
    return figures


@contextmanager
def _begun(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place at the end, and is removed if there is an error."""
    out = out.absolute()
    fresh = out.with_name(f".{out.name}.new")
    with ExitStack() as stack:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(out.with_name(f".{out.name}.lock")))
            stack.callback(shutil.rmtree, fresh, ignore_errors=True)
            shutil.rmtree(fresh, ignore_errors=True)  # of one that was killed
            fresh.mkdir()
        except BlockingIOError as error:
            raise ConfigError(f"{out}: another tessy process trains it; choose another -o") from error
        except OSError as error:
            raise ConfigError(f"{out}: cannot be written: {error.strerror}; choose another -o") from error
        yield fresh
        fresh.replace(out)


def _check_settings(recipe: Recipe) -> None:
    known = (*ARCHITECTURES[recipe.architecture].settings, "epochs", "base")
    unknown = [name for name in recipe.settings if name not in known]
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)}: not for architecture {recipe.architecture}; it has {', '.join(known)}"
        )
    if recipe.settings.get("base", "") is None and not ARCHITECTURES[recipe.architecture].from_nothing:
        raise ConfigError(f"architecture {recipe.architecture} cannot start from nothing; name a base")
