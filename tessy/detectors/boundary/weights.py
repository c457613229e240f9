"""A trained network on disk: a folder with ``config.json`` and ``weights.npz``.

All numbers are whole: 8-bit weights, 8-bit activations. Their products are added up exactly in 32-bit
floats, so a label is the same in any batch and on any machine.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from tessy.detectors.boundary.features import KINDS, ROWS
from tessy.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.int32]

__all__ = ["DEFAULT", "FORMAT", "Shape", "Weights", "load", "save"]

DEFAULT = Path(__file__).parent / "default"
"""The weights that ship with tessy."""
FORMAT = 1
_CONFIG, _ARRAYS = "config.json", "weights.npz"


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a network.

    Attributes:
        embedding: numbers that stand for a word.
        width: numbers that a layer gives for a word.
        back: words left of a word that the first layer sees.
        looks: how many words to the right it can be asked to look; the first layer sees them.
        dilations: of the layers above, each of which sees three words so far apart.
        hold: logits beyond which a word ends a stretch of style, and begins one; between the two it keeps
            the label of the word before.
    """

    embedding: int = 64
    width: int = 96
    back: int = 2
    looks: tuple[int, ...] = (0, 1, 2, 4)
    dilations: tuple[int, ...] = (1, 2, 4)
    hold: tuple[float, float] = (0.3, 0.3)

    @property
    def taps(self) -> int:
        """Words that the first layer sees."""
        return self.back + 1 + max(self.looks)

    @property
    def history(self) -> int:
        """Words to the left on which a word's logit depends."""
        return self.back + 2 * sum(self.dilations)


@dataclass(frozen=True, slots=True)
class Weights:
    """What a folder holds: sizes, whole numbers by name, and notes on where they come from."""

    shape: Shape
    arrays: dict[str, Array]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Equal for equal networks."""
        digest = sha256(repr(self.shape).encode())
        for name in sorted(self.arrays):
            digest.update(name.encode() + self.arrays[name].tobytes())
        return digest.hexdigest()[:16]


def expected(shape: Shape, words: int) -> dict[str, tuple[int, ...]]:
    """The arrays of a network and their shapes."""
    e, d = shape.embedding, shape.width
    arrays: dict[str, tuple[int, ...]] = {
        "vocabulary": (words,),
        "words": (words + 1, e),
        "features": (ROWS, e),
        "kinds": (len(KINDS) + 1, e),
        "input": (shape.taps * e, d),
        "input_bias": (len(shape.looks), d),
        "output": (d,),
        "output_bias": (1,),
    }
    for i in range(len(shape.dilations)):
        arrays |= {f"layer{i}": (3 * d, d), f"layer{i}_bias": (d,)}
    return arrays


def load(folder: Path) -> Weights:
    """Read a folder.

    Raises:
        ConfigError: it is not there, damaged, or of another format; names the folder.
    """
    import numpy as np

    try:
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
        if config["format"] != FORMAT:
            raise ValueError(f"format {config['format']}, this version of tessy reads format {FORMAT}")
        shape = _shape(config["shape"])
        with (folder / _ARRAYS).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        for name, size in expected(shape, len(arrays["vocabulary"])).items():
            if arrays[name].shape != size or arrays[name].dtype.kind not in "iu":
                raise ValueError(f"array {name} is {arrays[name].dtype}{list(arrays[name].shape)}")
        notes = dict(config.get("notes", {}))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        zlib.error,
        BadZipFile,
    ) as error:
        said = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{folder} holds no weights for detector boundary: {said}") from error
    return Weights(shape, arrays, notes)


def _shape(stored: Mapping[str, Any]) -> Shape:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    shape = Shape(**values)
    sizes = (shape.embedding, shape.width, *shape.dilations)
    counts = (shape.back, *shape.looks)
    if not all(type(n) is int and n >= 0 for n in (*sizes, *counts)) or not all(sizes) or not counts[1:]:
        raise ValueError("its sizes are not all whole numbers above 0")
    if len(shape.hold) != 2 or not all(isfinite(value) for value in shape.hold):
        raise ValueError("hold: must be two numbers")
    return shape


def save(weights: Weights, folder: Path) -> None:
    """Write a folder; what it holds of the same names is replaced."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    config = {"format": FORMAT, "shape": asdict(weights.shape), "notes": weights.notes}
    (folder / _CONFIG).write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    np.savez_compressed(folder / _ARRAYS, **weights.arrays)  # type: ignore[arg-type]
