"""The network in C says what the one in numpy says, bit for bit; where it is not there, numpy does it all."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from tessy.detectors.boundary import BoundaryDetector, BoundaryOptions, kernel
from tessy.detectors.boundary.kernel import LIBRARY, Kernel, compiled
from tessy.detectors.boundary.net import Net
from tessy.detectors.boundary.weights import DEFAULT, Shape, Weights, expected, load
from tessy.types import Window

ROOT = Path(__file__).parents[2]
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture
def built_anew() -> Iterator[None]:
    """Whoever changes the library sees to it that this process looks for it again."""
    kernel._library.cache_clear()
    yield
    kernel._library.cache_clear()


def weights_of(shape: Shape, seed: int) -> Weights:
    """Any, with many at the ends of what they can be, so that all limits are met."""
    numbers = np.random.default_rng(seed)

    def some(name: str, size: tuple[int, ...]) -> Any:
        if name == "vocabulary":
            return np.arange(1, size[0] + 1, dtype=np.uint32)
        if name.endswith("bias"):
            return numbers.integers(-20_000, 20_000, size, dtype=np.int32)
        return np.clip(numbers.integers(-200, 200, size), -127, 127).astype(np.int8)

    return Weights(shape, {name: some(name, size) for name, size in expected(shape, 5).items()})


shapes = st.builds(
    Shape,
    embedding=st.integers(1, 20),
    width=st.integers(1, 40),
    back=st.integers(0, 3),
    looks=st.just((0, 1, 3)),
    dilations=st.lists(st.integers(1, 5), max_size=3).map(tuple),
)


@needs_compiler
@given(shapes, st.sampled_from((0, 1, 3)), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_it_says_what_numpy_says(shape: Shape, look: int, seed: int) -> None:
    weights, chance = weights_of(shape, seed), random.Random(seed)
    ours, other = compiled(weights, look), Net(weights, look)
    assert ours is not None
    for net in (ours, other):
        net.grow(3)
    words = [f" word{i}" for i in range(9)] + ["\nWait,", " `x`", " 12.5"]
    for _ in range(12):
        # The table grows, texts begin anew, the pool is moved.
        chunk, kind = chance.choice(words), chance.randrange(3)
        known = ours.vectors.numbers.number(chunk, kind)
        assert other.vectors.numbers.number(chunk, kind) == known
        slot, count = chance.randrange(3), chance.randrange(1, 11)
        seen = [chance.choice([0, known, chance.randrange(known + 1)]) for _ in range(count * (look + 1))]
        match chance.randrange(5):
            case 0:
                for net in (ours, other):
                    net.clear(slot)
            case 1:
                more = len(ours._states) + 2
                for net in (ours, other):
                    net.grow(more)
            case 2:
                counts = [count, 1, 2]
                seen = [*seen, *[known] * 3 * (look + 1)]
                slots = chance.sample(range(3), 3)
                assert ours.logits(seen, slots, counts) == other.logits(seen, slots, counts)
            case _:
                looks = chance.choice([None, [chance.randrange(3) for _ in range(count)]])
                keep = chance.randrange(count + 1)
                assert ours.go_on(seen, slot, looks, keep=keep) == other.go_on(seen, slot, looks, keep=keep)


@needs_compiler
def test_it_is_what_computes_here() -> None:
    """A checkout that was installed without it would measure, and test, numpy unawares."""
    detector = BoundaryDetector(BoundaryOptions())
    detector.prepare()
    assert isinstance(detector._net, Kernel), (
        f"{LIBRARY} is not there or is another build's: install tessy again"
    )


@pytest.mark.parametrize("name", ["input", "layer0", "output"])
def test_weights_of_more_than_8_bits_are_left_to_numpy(name: str) -> None:
    weights = weights_of(Shape(embedding=4, width=4), 1)
    weights.arrays[name] = weights.arrays[name].astype(np.int32)
    assert (compiled(weights, 2) is None) == (shutil.which("cc") is None)
    weights.arrays[name].flat[0] = -128
    assert compiled(weights, 2) is None


@pytest.mark.parametrize("broken", ["missing", "rubbish", "other version", "no version"])
@pytest.mark.usefixtures("built_anew")
def test_without_it_all_is_the_same(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Okay, let me see. 3 + 4 = 7. Wait, is that right? So the answer is 7."
    window = Window("t", "teacher", 0, text, 0, final=True)
    usual = BoundaryDetector(BoundaryOptions()).read([window])
    library = tmp_path / "_kernel.so"
    if broken == "rubbish":
        library.write_bytes(b"\x7fELF rubbish")
    elif broken != "missing":
        if shutil.which("cc") is None:
            pytest.skip("no C compiler")
        code = "int tessy_boundary_version(void) { return 77; }" if broken == "other version" else "int x;"
        (tmp_path / "k.c").write_text(code)
        subprocess.run(["cc", "-shared", "-fPIC", str(tmp_path / "k.c"), "-o", str(library)], check=True)
    monkeypatch.setattr(kernel, "LIBRARY", library)
    kernel._library.cache_clear()
    detector = BoundaryDetector(BoundaryOptions())
    assert detector.read([window]) == usual
    assert isinstance(detector._net, Net)
    assert compiled(load(DEFAULT), 2) is None


def wheel(source: Path, folder: Path) -> Path:
    return Path(next(WheelBuilder(str(source)).build(directory=str(folder), versions=["standard"])))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """What of the project a wheel is built from, so that a build does not touch what others use."""
    copy = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__", "_kernel*")
    for name in ("tessy", "backends"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@needs_compiler
def test_a_wheel_has_it_and_says_for_which_platform(copied: Path, tmp_path: Path) -> None:
    made = wheel(copied, tmp_path / "dist")
    assert made.name.split("-")[2:4] == ["py3", "none"]
    assert not made.name.endswith("-any.whl")
    with ZipFile(made) as files:
        assert "tessy/detectors/boundary/_kernel.so" in files.namelist()


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"CC": ""}, "no C compiler"),
        ({"CC": "no-such-compiler"}, "no C compiler"),
        ({"CC": "false"}, "was not compiled"),
        ({"CFLAGS": "-no-such-flag"}, "no-such-flag"),
    ],
)
def test_a_build_without_a_compiler_is_for_any_platform(
    variables: dict[str, str],
    says: str,
    copied: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    # What an earlier build left is not taken for this one's.
    (copied / "tessy/detectors/boundary/_kernel.so").write_bytes(b"stale")
    made = wheel(copied, tmp_path / "dist")
    assert made.name.endswith("-py3-none-any.whl")
    with ZipFile(made) as files:
        assert "tessy/detectors/boundary/_kernel.so" not in files.namelist()
    out, err = capfd.readouterr()
    assert says in out + err
