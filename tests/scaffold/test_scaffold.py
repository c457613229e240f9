"""Names of new packages, and that nothing is written over."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from tessy import __version__
from tessy.errors import ConfigError
from tessy.plugins import Entry
from tessy.plugins.requirement import unmet
from tessy.scaffold import Blueprint, write

ROOT = Path(__file__).parents[2]
INSTALLED = [
    Entry("policy", "tessy", "tessy-llm", "0.1.0"),
    Entry("backend", "theirs", "their-pack", "2.0"),
    Entry(None, "broken-one", "broken-pack", "1.0", "broken", "it is"),
]


def test_all_names_follow_from_one() -> None:
    made = Blueprint.of("Every-other2", "policy")
    assert (made.package, made.module) == ("tessy-every-other2", "tessy_every_other2")
    assert (made.cls, made.options) == ("EveryOther2Policy", "EveryOther2Options")
    made = Blueprint.of("my-policy", "policy", "Acme-Traces")
    assert (made.package, made.module, made.cls) == ("Acme-Traces", "acme_traces", "MyPolicy")
    assert Blueprint.of("detector", "detector").cls == "DetectorDetector"
    # A package that did not get as far as to register anything holds no name.
    Blueprint.of("broken-one", "policy", None, INSTALLED)


@pytest.mark.parametrize(
    ("name", "package", "says"),
    [
        ("", None, "plugin '': a name begins with a letter"),
        ("1st", None, "plugin '1st': a name begins with a letter"),
        ("my policy", None, "single '-' between them; how about 'my-policy'?"),
        ("my_policy", None, "how about 'my-policy'?"),
        ("-mine-", None, "how about 'mine'?"),
        ("a--b", None, "how about 'a-b'?"),
        ("mine\n", None, "how about 'mine'?"),
        ("größe", None, "a name begins with a letter"),
        ("../mine", None, "how about 'mine'?"),
        ("x" * 41, None, "has 41 characters, at most 40 are allowed"),
        ("class", None, "plugin 'class': is a keyword of Python; choose another, say 'my-class'"),
        ("None", None, "is a keyword of Python"),
        ("tessy", None, "there is a policy of that name, of package tessy-llm 0.1.0; choose another"),
        ("theirs", None, "there is a backend of that name, of package their-pack 2.0; choose another"),
        ("mine", "my_pack", "package 'my_pack': a name begins with a letter"),
        ("mine", "import", "package 'import': is a keyword of Python"),
        ("mine", "tessy", "package 'tessy': a module 'tessy' is installed already; choose another"),
        ("mine", "json", "a module 'json' is installed already"),
        ("openai", None, "package 'tessy-openai': a module 'tessy_openai' is installed already"),
    ],
)  # fmt: skip
def test_names_that_cannot_be_used(name: str, package: str | None, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Blueprint.of(name, "policy", package, INSTALLED)
    assert says in str(caught.value)


class Metadata:
    def __init__(self, requirement: str) -> None:
        self.requires = [requirement]


@pytest.mark.parametrize(
    ("now", "requirement", "fits", "not_"),
    [
        ("0.1.0", "tessy-llm>=0.1.0,<0.2", "0.1.9", "0.2.0"),
        ("0.9.3", "tessy-llm>=0.9.3,<0.10", "0.9.4", "0.10.0"),
        ("1.4.2", "tessy-llm>=1.4.2,<2", "1.9.0", "2.0.0"),
        ("2.0.0rc1", "tessy-llm>=2.0.0rc1,<3", "2.0.0", "3.0.0rc1"),
    ],
)
def test_it_requires_this_tessy_up_to_the_next_that_may_break_it(
    monkeypatch: pytest.MonkeyPatch, now: str, requirement: str, fits: str, not_: str
) -> None:
    monkeypatch.setattr("tessy.scaffold.blueprint.__version__", now)
    made = Blueprint.of("mine", "policy").requirement
    assert made == requirement
    assert unmet(Metadata(made), now) is None  # type: ignore[arg-type]
    assert unmet(Metadata(made), fits) is None  # type: ignore[arg-type]
    assert unmet(Metadata(made), not_) is not None  # type: ignore[arg-type]


def test_what_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "mine"
    written = write(Blueprint.of("mine", "backend"), folder)
    assert [str(path) for path in written] == [
        "README.md",
        "pyproject.toml",
        "tessy_mine/__init__.py",
        "tessy_mine/backend.py",
        "tessy_mine/plugin.py",
        "tessy_mine/py.typed",
        "tests/test_backend.py",
    ]
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    assert found == sorted(folder / path for path in written)
    assert f'"tessy-llm>={__version__},<' in (folder / "pyproject.toml").read_text()
    for path in found:
        assert "{{" not in path.read_text()
        assert "{%" not in path.read_text()


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists already, nothing was written; name a new folder with -o"):
        write(Blueprint.of("mine", "policy"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        write(Blueprint.of("mine", "policy"), tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot be written"):
        write(Blueprint.of("mine", "policy"), tmp_path / "file" / "below")


def test_a_full_disk_leaves_no_half_of_a_package(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(ConfigError, match=r"cannot be written: .*; nothing is left of it"):
            write(Blueprint.of("mine", "policy"), tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, usual)
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_holds_all_templates() -> None:
    templates = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tessy/scaffold/templates").rglob("*")
        if path.is_file()
    }
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert len(templates) >= 10
    assert templates <= packed
