"""A page that is wrong fails: what the snippets' tests rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.blocks import blocks
from docs.commands import check_inline
from docs.play import Page
from docs.workspace import Workspace

RUN = "tessy run prompts.jsonl -o runs/a --backend scripted:any"


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(Workspace(tmp_path))


def play(page: Page, text: str) -> None:
    for block in blocks("page.md", text):
        page.play(block)


def fence(language: str, text: str, mark: str = "") -> str:
    comment = f"<!-- {mark} -->\n" if mark else ""
    return f"Words.\n\n{comment}```{language}\n{text}\n```\n"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (fence("text", "unmarked"), "page.md:4: a block of language 'text' is not tested"),
        (fence("", "unmarked"), "is not tested"),
        (fence("sh", "true", "todo: later"), "no such mark: 'todo'"),
        (fence("sh", "true", "not run"), "mark 'not run' needs a value"),
        (fence("sh", f"{RUN} --sead 1", "not run: x"), "No such option"),
        (fence("sh", "tessy rum", "not run: x"), "no command 'rum'"),
        (fence("sh", f"{RUN} --policy tesy", "not run: x"), "'tessy'"),
        (fence("sh", f"{RUN} --policy 'tessy?kk=1'", "not run: x"), "no such option"),
        (fence("sh", "tessy doctor llamacpp", "not run: x"), "needs a model"),
        (fence("sh", "for x in", "not run: x"), "syntax error"),
        (fence("sh", "rm -rf x", "not run: x"), "rm: "),
        (fence("sh", "make nothing", "not run: x"), "no such target"),
        (fence("yaml", "polisy: tessy"), "did you mean 'policy'"),
        (fence("python", "def f(:", "not run: x"), "invalid syntax"),
    ],
)
def test_what_cannot_be_right_is_refused(page: Page, block: str, message: str) -> None:
    with pytest.raises(Exception, match=r"(?s).*") as error:
        play(page, block)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "block",
    [
        fence("sh", "false"),
        fence("sh", "true", "exit: 2"),
        fence("sh", "echo one") + fence("text", "two", "output"),
        fence("python", "assert False"),
        fence("json", '{"messages": [{"role": "assistant", "content": "a"}], "tessy": {"spans": []}}'),
        fence("sql", "SELECT 1"),
    ],
)
def test_what_turns_out_otherwise_fails(page: Page, block: str) -> None:
    with pytest.raises(AssertionError):
        play(page, block)


def test_what_one_block_leaves_the_next_one_finds(page: Page) -> None:
    play(
        page,
        fence("sh", "mkdir sub\ncd sub\necho 'x = 6' > mine.py")
        + fence("python", "from mine import x\nasync def f():\n    return 7 * x")
        + fence("python", "print(await f())\nprint('more')\nprint('end')")
        + fence("text", "4…\n…\nend", "output")
        + fence("text", "a file", "file: deep/er.txt")
        + fence("sh", "cat deep/er.txt ../sub/deep/er.txt")
        + fence("text", "a file\n\na file", "output"),
    )


def test_a_run_that_is_right(page: Page) -> None:
    play(page, fence("sh", RUN) + fence("sql", "SELECT count(*) FROM spans"))
    play(page, fence("sh", f"KEY=1\n{RUN} --policy 'tessy?k=20' …\npip install x", "not run: x"))


def test_commands_in_running_text() -> None:
    for command in ("tessy run … --policy every-other", "tessy --help", "tessy detector eval --json"):
        check_inline(command)
    for command in ("tessy run --polisy x", "tessy rum", "tessy detector evil"):
        with pytest.raises(ValueError, match=r"no (option|command)"):
            check_inline(command)
