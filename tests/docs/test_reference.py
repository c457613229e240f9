"""The docs name all that users meet, their links lead somewhere, and what is generated is up to date."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import tessy.errors
from docs.blocks import inline_code, links
from docs.workspace import ROOT
from tessy.cli import errors
from tessy.config import RunConfig
from tessy.errors import BackendDown, BackendError, ConfigError, PluginError
from tessy.options import describe
from tessy.plugins import Registry

PAGES = {path.name: path.read_text() for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]}


def test_every_shipped_plugin_and_its_options() -> None:
    registry = Registry.discover()
    pages = {"backend": "backends.md", "detector": "detectors.md", "policy": "policies.md"}
    for entry in registry.entries():
        if entry.package != "tessy-llm" or entry.kind is None:
            continue
        page = PAGES[pages[entry.kind]]
        assert f"`{entry.name}`" in page, entry.name
        if entry.kind == "policy":
            for option in describe(registry.load(entry.kind, entry.name)):
                assert f"`{option.name}`" in page, (entry.name, option.name)


def test_every_hook_and_exit_code() -> None:
    for name in ("tessy_backends", "tessy_style_detectors", "tessy_switch_policies"):
        assert f"`{name}`" in PAGES["plugins.md"]
    for code in (0, errors.UNEXPECTED, errors.WRONG_USE, 3, 4, errors.INTERRUPTED):
        assert f"| {code} |" in PAGES["operations.md"]


def test_every_reason_of_a_failed_row() -> None:
    code = "".join(path.read_text() for path in ROOT.glob("tessy/**/*.py"))
    reasons = {"internal", *re.findall(r'TraceError\(\s*"([a-z_]+)"', code)}
    kinds = [getattr(tessy.errors, name) for name in tessy.errors.__all__]
    reasons |= {kind.reason for kind in kinds if issubclass(kind, (BackendError, ConfigError, PluginError))}
    reasons -= {BackendDown.reason}  # no row fails for it
    assert {"length", "unsafe_text", "plugin"} <= reasons
    for reason in reasons:
        assert re.search(rf"^\| .*`{reason}`.* \|", PAGES["runs.md"], re.M), reason


def test_every_setting() -> None:
    for name in RunConfig.model_fields:
        assert f"| `{name}` |" in PAGES["configuration.md"], name
    for variable in ("TESSY_DISABLE_PLUGINS", "TESSY_LOAD_PLUGINS", "TESSY_DEBUG"):
        assert f"| `{variable}` |" in PAGES["configuration.md"]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_lead_somewhere(name: str) -> None:
    base = ROOT if name == "README.md" else ROOT / "docs"
    for link in links(PAGES[name]):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = base / target if target else base / name
        assert path.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)", path.read_text(), re.M)
            assert anchor in map(_slug, headings), link


@pytest.mark.parametrize("name", sorted(PAGES))
def test_no_row_of_a_table_has_more_cells_than_its_head(name: str) -> None:
    """A ``|`` in a cell begins another one, also in code, and what is too much is not shown."""
    cells = 0
    for line in re.sub(r"^```.*?^```", "", PAGES[name], flags=re.M | re.S).splitlines():
        found = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (cells and found) or found == cells, line
        cells = found


@pytest.mark.parametrize("name", sorted(PAGES))
def test_files_that_are_named_are_there(name: str) -> None:
    for code in inline_code(PAGES[name]):
        if re.fullmatch(r"(tessy|backends|plugins|tests|examples|docs)/[\w./-]*", code):
            assert (ROOT / code).exists(), code


def _slug(heading: str) -> str:
    """A heading's anchor where Markdown is shown as it is, and on the site."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_on_the_site() -> None:
    listed = set(re.findall(r"^[a-z-]+$", PAGES["index.md"], re.M))
    found = {path.stem for path in ROOT.glob("docs/*.*") if path.suffix in (".md", ".rst")}
    assert found - listed == {"index"}


def test_every_package_in_plugins_has_its_page() -> None:
    for path in ROOT.glob("plugins/*/README.md"):
        included = f"{{include}} ../{path.relative_to(ROOT)}"
        assert any(included in page for page in PAGES.values()), f"{path}: add a page like hf-boundary.md"


def test_the_commands_page_is_the_programs_own_help() -> None:
    made = subprocess.run(
        [sys.executable, "-c", "import make_cli; print(make_cli.page(), end='')"],
        cwd=ROOT / "docs", check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert PAGES["cli.md"] == made.stdout, "run: python docs/make_cli.py"
