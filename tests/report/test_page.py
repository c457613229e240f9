"""The page in a real browser: it works, looks right at any width, complains of nothing, and is accessible."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from report.browser import AXE, CHROMIUM, Page, opened
from report.conftest import HOSTILE
from tessy.report import report
from tessy.rundata import RunData

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; make test-browser installs it")


@pytest.fixture
async def page(runs: list[RunData], tmp_path: Path) -> AsyncIterator[Page]:
    file = tmp_path / "report.html"
    report(runs, file)
    async with opened(tmp_path / "profile") as tab:
        await tab.size(1280, 900)
        await tab.open(file)
        yield tab
        assert tab.complaints == []
        assert set(tab.asked) == {file.as_uri()}
        assert await tab.js("typeof window.pwned") == "undefined"


async def count(page: Page) -> str:
    return str(await page.js("document.getElementById('count').textContent"))


async def wanted(page: Page, id: str, value: str) -> None:
    await page.js(
        f"(() => {{ const e = document.getElementById('{id}'); e.value = {json.dumps(value)}; "
        "e.dispatchEvent(new Event(e.type === 'search' ? 'input' : 'change')); })()"
    )
    await page.js("new Promise(r => setTimeout(r, 250))")


async def test_rows_are_chosen_searched_and_filtered(page: Page) -> None:
    assert (await count(page)).startswith("8 of 8 rows")
    await page.click("[data-i='2']")
    assert await page.js("document.querySelector('#trace h3').textContent") == "q2"
    await wanted(page, "f-text", "what is 6 times")
    assert (await count(page)).startswith("1 of 8 rows")
    assert await page.js("document.querySelector('#trace h3').textContent") == "q6"
    await wanted(page, "f-text", "nothing has this")
    assert "No row fits" in await page.js("document.getElementById('trace').textContent")
    await wanted(page, "f-text", "")
    await wanted(page, "f-share", "100")
    assert (await count(page)).startswith("0 of 8 rows")
    await wanted(page, "f-share", "0")
    await wanted(page, "f-sort", "tokens")
    lengths = await page.js("[...document.querySelectorAll('.row small')].map(e => parseInt(e.textContent))")
    assert lengths == sorted(lengths, reverse=True)
    await wanted(page, "f-run", "2")
    await wanted(page, "f-kind", "failures")
    assert (await count(page)).startswith("5 of 5 failures")
    assert "length" in await page.js("document.querySelector('#trace strong').textContent")


async def test_hostile_text_is_shown_as_it_is(page: Page) -> None:
    await wanted(page, "f-text", "pwned")
    assert (await count(page)).startswith("1 of 8 rows")
    assert await page.js("document.querySelector('.prompt').textContent") == f"user: {HOSTILE}"
    await wanted(page, "f-text", "onclick")
    assert await page.js("document.querySelector('#trace h3').textContent") == "<b onclick=alert(1)>q3</b>"
    assert await page.js("document.querySelectorAll('b b, [onclick], img').length") == 0


async def test_every_character_of_a_trace_is_shown_by_author(page: Page, runs: list[RunData]) -> None:
    row = next(runs[0].rows())
    assert await page.js("document.querySelector('#trace .text').textContent") == row.content
    shown = await page.js(
        "[...document.querySelectorAll('#trace .s')].map(e => [e.classList[1], e.textContent])"
    )
    assert shown == [[span["author"], row.text(span)] for span in row.spans]


async def test_a_command_to_be_copied_runs_nothing_else(
    page: Page, runs: list[RunData], tmp_path: Path
) -> None:
    row = next(runs[0].rows()).data
    folder = tmp_path / "many rows"
    folder.mkdir()
    ids = [f"q{n}'; touch pwned; $(touch pwned) #" for n in range(250)]
    (folder / "data.jsonl").write_text("".join(json.dumps({**row, "id": id}) + "\n" for id in ids))
    report([RunData(folder)], tmp_path / "report.html")
    await page.open(tmp_path / "report.html")
    for id in ids[1:60]:  # the first is there already
        await page.key("j")
        if said := await page.js("document.querySelector('#trace pre')?.textContent"):
            assert shlex.split(said) == ["tessy", "show", str(folder), id]
            return
    raise AssertionError("every row has its text")


async def test_keys_go_through_rows_and_spans(page: Page) -> None:
    await page.key("j")
    await page.key("j")
    await page.key("k")
    assert await page.js("document.querySelector('#trace h3').textContent") == "q1"
    await page.key("]")
    await page.key("]")
    assert (await page.js("document.getElementById('span').textContent")).startswith("Span 2 of ")
    await page.key("/")
    assert await page.js("document.activeElement.id") == "f-text"
    await page.key("j")
    assert await page.js("document.getElementById('f-text').value") == "j"


@pytest.mark.parametrize(
    ("width", "height", "dark"), [(1280, 900, False), (390, 844, False), (1280, 900, True)]
)
async def test_it_is_accessible_and_fits(
    page: Page, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    await page.size(width, height, dark=dark)
    await page.open(tmp_path / "report.html")
    assert await page.js("document.documentElement.scrollWidth <= window.innerWidth")
    assert await page.js("document.querySelectorAll('figure').length") >= 10
    if not AXE.is_file():
        pytest.skip("no axe here; make test-browser fetches it")
    await page.js(AXE.read_text("utf-8") + "; 0")
    found = await page.js(
        "axe.run(document)"
        ".then(r => r.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html.slice(0, 200))]))"
    )
    assert found == []
