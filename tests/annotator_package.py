"""An annotator for tests: a backend whose answers follow from what it is asked, by rules."""

from __future__ import annotations

from pathlib import Path

from plugin_packages import install

SOURCE = (
    """
from tessy.hooks import Plugin, hookimpl


def load():
    import asyncio
    import itertools
    import json
    import re

    from tessy import Backend, Capabilities, Chunk, Session

    ASKED = itertools.count()
    STYLE = re.compile(r"(?:Okay|Hmm|Wait|Now|Then|So|First|Next|Let me[a-z ]*|let me[a-z ]*)\\\\b[,.]?")
    WAYS = {
        "rules": lambda found: json.dumps(found),
        "fenced": lambda found: "Here you are:\\\\n```json\\\\n" + json.dumps(found) + "\\\\n```",
        "wrong": lambda found: json.dumps([*found, "not in the text"]),
        "broken": lambda found: json.dumps(found)[:-1],
    }

    class Reading(Session):
        def __init__(self, text, way):
            self.text, self.way = text, way

        async def generate(self, request):
            if self.way == "stuck" and next(ASKED) >= 7:
                await asyncio.Event().wait()
            found = [m.group().strip() for m in STYLE.finditer(self.text)]
            answer = WAYS.get(self.way, json.dumps)(found)
            yield Chunk(answer, tokens=len(answer) // 4 + 1, exact=False)
            yield Chunk(finish="end_of_turn")

    class Rules(Backend):
        capabilities = Capabilities()

        def session(self, prompt, key):
            return Reading(prompt.messages[-1].content.rpartition("TEXT:\\\\n")[2], self.model)

    return Rules


@hookimpl
def tessy_backends():
    return [Plugin("rules", "marks style by rules", load)]
""".replace("\\\\\\\\", "\\\\")
    .replace("\\\\n", "\\n")
    .replace("\\\\b", "\\b")
)


def install_annotator(site: Path) -> None:
    """Put the package that holds it on a folder for PYTHONPATH."""
    install(site, "tessy-rules", SOURCE)
