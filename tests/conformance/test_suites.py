"""The suites themselves: nothing is left out in silence."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tessy.testing.suites import BackendSuite, StyleDetectorSuite, SwitchPolicySuite

Run = Callable[[str], tuple[dict[str, int], str]]

HEAD = """
import pytest
from tessy.policies.solo import StudentOnly
from tessy.testing.suites import SwitchPolicySuite
"""
FIXTURE = """
    @pytest.fixture
    def policy(self):
        return StudentOnly(StudentOnly.Options())
"""
HINT = "name it in the class's `exempt` with the reason"


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a plugin's test file as its author would; how many tests had which outcome, and what was said."""

    def run(text: str) -> tuple[dict[str, int], str]:
        path = tmp_path / f"test_{tmp_path.name}.py"  # modules are kept by name
        path.write_text(HEAD + textwrap.dedent(text))
        counts = Counts()
        # A plugin's environment has pytest and perhaps nothing besides.
        bare = ["-p", "no:asyncio", "-p", "no:cacheprovider", "--import-mode", "importlib"]
        pytest.main([str(path), "-q", "--rootdir", str(tmp_path), *bare], [counts])
        return counts.outcomes, capfd.readouterr().out

    return run


class Counts:
    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {"passed": 0, "failed": 0, "skipped": 0, "broken": 0}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.outcomes["broken"] += report.outcome == "failed"


ALL = sum(name.startswith("test_") for name in dir(SwitchPolicySuite))


def test_a_plugins_own_file_runs_them_all(run: Run) -> None:
    counts, said = run(f"class TestMine(SwitchPolicySuite):\n    entry_point = 'tessy.builtin'{FIXTURE}")
    assert counts == {"passed": ALL, "failed": 0, "skipped": 0, "broken": 0}, said


def test_an_exempt_test_is_skipped_with_its_reason(run: Run) -> None:
    counts, said = run(
        f"class TestMine(SwitchPolicySuite):\n    entry_point = 'tessy.builtin'{FIXTURE}"
        "    exempt = {'test_notes_are_json': 'it takes none'}\n"
    )
    assert counts == {"passed": ALL - 1, "failed": 0, "skipped": 1, "broken": 0}, said


def test_an_exempt_test_may_be_replaced(run: Run) -> None:
    counts, said = run(
        f"class TestMine(SwitchPolicySuite):\n    entry_point = 'tessy.builtin'{FIXTURE}"
        "    exempt = {'test_notes_are_json': 'its own'}\n"
        "    def test_notes_are_json(self):\n        assert False, 'own one runs'\n"
    )
    assert counts == {"passed": ALL - 1, "failed": 1, "skipped": 0, "broken": 0}, said
    assert "own one runs" in said


@pytest.mark.parametrize("marks", ["pytest.mark.skip", "pytest.mark.skipif(True, reason='x')"])
@pytest.mark.parametrize("where", ["class", "module", "body"])
def test_marks_that_skip_are_refused(run: Run, marks: str, where: str) -> None:
    if where == "class":
        text = f"@{marks}\nclass TestMine(SwitchPolicySuite):{FIXTURE}"
    elif where == "module":
        text = f"pytestmark = {marks}\nclass TestMine(SwitchPolicySuite):{FIXTURE}"
    else:
        text = f"class TestMine(SwitchPolicySuite):\n    pytestmark = [{marks}]{FIXTURE}"
    counts, said = run(text)
    assert (counts["passed"], counts["skipped"]) == (0, 0)
    assert counts["broken"] > 0
    assert HINT in said


def test_a_fixture_that_skips_fails(run: Run) -> None:
    counts, said = run(
        "class TestMine(SwitchPolicySuite):\n"
        "    exempt = {'test_notes_are_json': 'not here'}\n"
        "    @pytest.fixture\n    def policy(self):\n        pytest.skip('no time')\n"
    )
    # The entry point's own test takes no policy and says that none is named.
    assert counts == {"passed": 0, "failed": ALL - 2, "skipped": 2, "broken": 0}, said
    assert "fixture 'policy' skips test_" in said
    assert HINT in said


def test_a_fixture_that_is_missing_says_so(run: Run) -> None:
    counts, said = run("class TestMine(SwitchPolicySuite):\n    pass\n")
    assert counts["passed"] == 0
    assert "give the test class a fixture `policy`" in said


@pytest.mark.parametrize("suite", [BackendSuite, StyleDetectorSuite, SwitchPolicySuite])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"test_construction_does_no_work": None}, "drops test_construction_does_no_work"),
        ({"test_construction_does_no_work": lambda self: None}, "overrides test_construction_does_no_work"),
        ({"every_test_runs": None}, "drops every_test_runs"),
        ({"pytest_generate_tests": lambda metafunc: None}, "overrides pytest_generate_tests"),
        ({"exempt": {"test_no_such": "why"}}, "names 'test_no_such', there are test_"),
        ({"exempt": {"test_construction_does_no_work": " "}}, "must say why"),
        ({"exempt": {"every_test_runs": "I say so"}}, "names 'every_test_runs'"),
    ],
)
def test_classes_that_leave_something_out_are_refused(
    suite: type, body: dict[str, object], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        type("TestMine", (suite,), body)


def test_a_mixin_cannot_smuggle_one_in() -> None:
    class Mixin:
        def test_construction_does_no_work(self) -> None: ...

    with pytest.raises(TypeError, match="TestMine overrides test_construction_does_no_work"):
        type("TestMine", (Mixin, SwitchPolicySuite), {})
    exempt = {"exempt": {"test_construction_does_no_work": "it loads a table"}}
    type("TestMine", (Mixin, SwitchPolicySuite), exempt)


def test_pytest_is_imported_for_the_suites_only() -> None:
    code = "import sys, tessy.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
