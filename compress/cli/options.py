"""Options that several verbs share, so that they are spelled and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the answer, warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more about each step.")]
Offline = Annotated[
    bool, typer.Option("--offline", envvar="HF_HUB_OFFLINE", help="Use only what is on this disk.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")]

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A Hub id (org/name@revision), a folder, a .gguf, or demo (a folder of that name: ./demo).",
    ),
]
OptionalModel = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        help="A Hub id (org/name@revision), a folder, a .gguf, or demo (a folder of that name: ./demo); "
        "none: the project file's jobs.",
        show_default=False,
    ),
]
Summary = Annotated[
    Path | None,
    typer.Option("--summary", help="A file to add the report to, as Markdown.", show_default=False),
]
Junit = Annotated[Path | None, typer.Option(help="A file to write as JUnit XML.", show_default=False)]
ArtifactFolder = Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A folder that run published.")]
Target = Annotated[
    str | None, typer.Option("--target", "-t", help="A profile's name or file.", show_default="cpu")
]
Task = Annotated[str | None, typer.Option("--task", help="The task, where the configuration does not tell.")]
Data = Annotated[str | None, typer.Option("--data", "-d", help="File, folder or Hub data set to judge on.")]
Column = Annotated[
    list[str] | None,
    typer.Option("--column", help="A column's name, as `label=sentiment`. May be given several times."),
]
Calibration = Annotated[
    list[str] | None,
    typer.Option(
        "--calibration",
        help="Text (or other input) without labels to calibrate and heal on, so that --data only judges. "
        "May be given several times.",
    ),
]
LabelMap = Annotated[
    str | None,
    typer.Option(
        "--label-map",
        help="Which class each label of the data is: negative=0,positive=1, or a JSON or YAML file.",
    ),
]
AllowChance = Annotated[
    bool,
    typer.Option(
        "--allow-chance", help="Go on with a model that is no better than chance on the data's labels."
    ),
]
MaxDrop = Annotated[
    str | None, typer.Option("--max-drop", help="Largest loss of accuracy: 0.5pt, 1% or 1.05x.")
]
MinSpeedup = Annotated[
    str | None, typer.Option("--min-speedup", help="Least speedup over ONNX Runtime fp32: 1.5x.")
]
MaxSize = Annotated[str | None, typer.Option("--max-size", help="Largest model file: 18MB.")]
MaxLatency = Annotated[
    str | None, typer.Option("--max-latency", help="Largest median latency at batch 1: 10ms.")
]
MaxMemory = Annotated[str | None, typer.Option("--max-memory", help="Largest peak RSS: 500MB.")]
RecipeName = Annotated[
    str | None, typer.Option("--recipe", "-r", help="A recipe's name or file, instead of trying several.")
]
PresetName = Annotated[
    str | None, typer.Option("--preset", "-p", help="What matters most: fast, small, balanced or lossless.")
]
Metric = Annotated[str | None, typer.Option("--metric", help="What accuracy is, where the task has several.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="The folder to publish.", show_default="MODEL-TARGET")
]
Seconds = Annotated[
    float | None, typer.Option(help="Time to spend on each comparison of speed.", show_default="20")
]
Seed = Annotated[int | None, typer.Option(help="Of every random choice.", show_default="0")]
Watts = Annotated[
    float | None,
    typer.Option(help="What the machine draws, where it has no meter.", show_default="the profile's"),
]
Price = Annotated[
    float | None,
    typer.Option("--price-per-hour", help="What the machine costs, in USD.", show_default="the profile's"),
]
Remote = Annotated[
    str | None,
    typer.Option(metavar="USER@HOST", help="Time on this device, by ssh; nothing is left on it."),
]
RemotePython = Annotated[str, typer.Option(metavar="PATH", help="The Python there, which has onnxruntime.")]
Limit = Annotated[int | None, typer.Option(help="Use at most so many items of the data.")]

PLAN_SETTINGS = (
    "target", "recipe", "preset", "task", "data", "column", "label_map", "calibration", "max_drop",
    "min_speedup", "max_size", "max_latency", "max_memory", "watts", "price_per_hour", "out", "offline",
)  # fmt: skip
RUN_SETTINGS = (
    *PLAN_SETTINGS,
    "metric",
    "allow_chance",
    "overwrite",
    "allow_fp32",
    "keep_failed",
    "limit",
    "seed",
    "seconds",
)
COMPARE_SETTINGS = (
    "target", "data", "column", "label_map", "calibration", "metric", "watts", "price_per_hour", "limit",
    "seconds", "seed", "offline",
)  # fmt: skip
VOTE_SETTINGS = ("target", "data", "column", "watts", "price_per_hour", "limit", "seed", "offline")
"""Flags that are settings too: they may come from the environment or a project file."""
