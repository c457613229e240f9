"""Flags that several commands share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tessy.builtin import DEFAULT_DETECTOR

__all__ = [
    "BackendFlag",
    "BudgetCostFlag",
    "BudgetTimeFlag",
    "BudgetTokensFlag",
    "ColumnFlag",
    "ConcurrencyFlag",
    "ConfigFlag",
    "DetectorFlag",
    "JsonFlag",
    "LimitFlag",
    "MaxLengthFlag",
    "PriceFlag",
    "PromptsArgument",
    "RepetitionFlag",
    "RunsArgument",
    "SeedFlag",
    "StudentFlag",
    "TeacherFlag",
    "WorkersFlag",
]

PromptsArgument = Annotated[
    str | None,
    typer.Argument(
        help="Prompts: JSONL (also .gz, .bz2, .xz), Parquet, a folder of either (FOLDER[@SPLIT]), a Hugging "
        "Face data set (ORG/NAME[:CONFIG][@SPLIT]); -: standard input.",
        metavar="PROMPTS",
        show_default=False,
    ),
]
RunsArgument = Annotated[
    list[Path], typer.Argument(help="Run directories, or folders of them.", show_default=False)
]
ColumnFlag = Annotated[
    str | None,
    typer.Option(
        help="The column with the prompt, a text or messages; default: messages, prompt, conversations "
        "or dialogs.",
        metavar="NAME",
        show_default=False,
    ),
]
LimitFlag = Annotated[
    int | None, typer.Option("-n", "--limit", help="At most so many prompts.", show_default=False)
]
BackendFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        help="[ROLE=]NAME:MODEL[@URL][?KEY=VALUE&...]; without ROLE for all roles. Repeatable.",
        metavar="SPEC",
        show_default=False,
    ),
]
TeacherFlag = Annotated[
    str | None, typer.Option(help="Short for --backend teacher=SPEC.", metavar="SPEC", show_default=False)
]
StudentFlag = Annotated[
    str | None, typer.Option(help="Short for --backend student=SPEC.", metavar="SPEC", show_default=False)
]
DetectorFlag = Annotated[
    str | None,
    typer.Option(
        help=f"NAME[?KEY=VALUE&...]; default: {DEFAULT_DETECTOR}.", metavar="SPEC", show_default=False
    ),
]
ConfigFlag = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="A YAML file of settings; flags override it.", show_default=False),
]
ConcurrencyFlag = Annotated[
    int | None,
    typer.Option(help="Trajectories at once; default: what the backends serve well.", show_default=False),
]
WorkersFlag = Annotated[
    int | None,
    typer.Option(
        help="Processes that read streams, where one core is not enough; default: 1.",
        show_default=False,
    ),
]
SeedFlag = Annotated[int | None, typer.Option(help="The run's seed; default: 0.", show_default=False)]
MaxLengthFlag = Annotated[
    int | None,
    typer.Option(help="Longest trace, in the student's tokens; default: 40000.", show_default=False),
]
RepetitionFlag = Annotated[
    str | None,
    typer.Option(
        help="What counts as text that repeats itself without end: on, off, or times=5,share=0.3,...",
        metavar="on|off|...",
        show_default=False,
    ),
]
BudgetTokensFlag = Annotated[
    int | None,
    typer.Option(
        help="Stop when the models have generated so many tokens, earlier processes included.",
        show_default=False,
    ),
]
BudgetCostFlag = Annotated[
    float | None, typer.Option(help="Stop when so much is spent, by --price.", show_default=False)
]
BudgetTimeFlag = Annotated[
    str | None,
    typer.Option(
        help="Stop after so much writing: 3600 (seconds), 90m, 2h30m.", metavar="TIME", show_default=False
    ),
]
PriceFlag = Annotated[
    list[str] | None,
    typer.Option(
        help="Price of a million tokens: ROLE=IN,OUT[,CACHED]; ROLE may be all. Repeatable.",
        metavar="PRICE",
        show_default=False,
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]
