"""Plays a page from top to bottom, as its reader would."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import re
import sqlite3
import sys
import tomllib
from collections.abc import Callable, Iterator
from types import ModuleType

from docs.blocks import Block
from docs.commands import check_call
from docs.workspace import ROOT, Workspace
from helpers import check_row
from tessy.config import load

__all__ = ["Page"]


class Page:
    """One page's state: its folder, the names its Python has defined, what was printed last."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._module = ModuleType("page")
        self._printed: str | None = None
        self._play: dict[str, Callable[[Block], None]] = {
            "python": self._python,
            "sh": self._shell,
            "yaml": self._yaml,
            "json": self._json,
            "toml": self._toml,
            "sql": self._sql,
        }

    def play(self, block: Block) -> None:
        """Test one block, in its language and by its marks.

        Raises:
            AssertionError: it does not do what the page says.
            ValueError: nothing says how to test it.
        """
        if block.language.startswith("{"):
            return  # a directive of the site's, which its own build checks
        if "output" in block.marks:
            self._compare(block)
        elif "not run" in block.marks:
            self._read(block)
        elif "file" in block.marks:
            self._workspace.write(block.marks["file"], block.text)
        elif block.language in self._play:
            self._play[block.language](block)
        else:
            raise ValueError(
                f"{block}: a block of language {block.language!r} is not tested; there are "
                f"{', '.join(self._play)}, or the marks of tests/docs/blocks.py"
            )

    def _python(self, block: Block) -> None:
        # As in a notebook: names stay, and await stands anywhere.
        code = compile(
            ast.parse("\n" * (block.line - 1) + block.text, block.page),
            block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True,
        )  # fmt: skip
        printed = io.StringIO()
        with self._as_module(), contextlib.chdir(self._workspace.cwd), contextlib.redirect_stdout(printed):
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(code, vars(self._module)))  # noqa: S307 – the documentation's own code
            else:
                exec(code, vars(self._module))  # noqa: S102 – the documentation's own code
        self._printed = printed.getvalue()

    @contextlib.contextmanager
    def _as_module(self) -> Iterator[None]:
        """Classes look for their module by its name; files of the folder are imported afresh each time."""
        before = {*sys.modules, self._module.__name__}
        sys.modules[self._module.__name__] = self._module
        sys.path.insert(0, str(self._workspace.cwd))
        try:
            yield
        finally:
            sys.path.remove(str(self._workspace.cwd))
            del sys.modules[self._module.__name__]
            for name, module in list(sys.modules.items()):
                file = getattr(module, "__file__", None) or ""
                if name not in before and file.startswith(str(self._workspace.folder)):
                    del sys.modules[name]

    def _shell(self, block: Block) -> None:
        ran = self._workspace.run(block.text)
        expected = int(block.marks.get("exit", 0))
        assert ran.code == expected, f"{block}: exit code {ran.code}, not {expected}\n{ran.output}"
        self._printed = ran.output

    def _yaml(self, block: Block) -> None:
        path = self._workspace.folder.with_name("settings.yaml")
        path.write_text(block.text)
        load(path)

    def _json(self, block: Block) -> None:
        try:
            rows = [json.loads(block.text)]
        except ValueError:
            rows = [json.loads(line) for line in block.text.splitlines()]
        for row in rows:
            if isinstance(row, dict) and "tessy" in row:
                check_row(row)

    def _toml(self, block: Block) -> None:
        tomllib.loads(block.text)

    def _sql(self, block: Block) -> None:
        journals = sorted(self._workspace.folder.rglob("journal.sqlite"), key=lambda p: p.stat().st_mtime)
        assert journals, f"{block}: the page has no run yet"
        db = sqlite3.connect(journals[-1])
        try:
            for statement in filter(str.strip, block.text.split(";")):
                assert db.execute(statement).fetchall(), f"{block}: nothing found by {statement.strip()}"
        finally:
            db.close()

    def _read(self, block: Block) -> None:
        """What cannot run can at least be read."""
        if block.language == "python":
            compile(block.text, block.page, "exec")
        elif block.language == "sh":
            for call in self._workspace.note(block.text):
                check_call(call, ROOT, self._workspace.cwd)

    def _compare(self, block: Block) -> None:
        assert self._printed is not None, f"{block}: nothing has run before it"
        pattern = "".join(_line(line) for line in block.text.splitlines() if line.strip())
        printed = "".join(f"{line.rstrip()}\n" for line in self._printed.splitlines() if line.strip())
        assert re.fullmatch(pattern, printed), f"{block}: printed was\n{self._printed}"


def _line(line: str) -> str:
    """A pattern for a line of expected output."""
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(part) for part in line.rstrip().split("…")) + r"\n"
