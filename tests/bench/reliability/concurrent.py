"""Equal runs at once on one cache: no error, no deadlock, each step made once, equal bytes.

    python -m tests.bench.reliability.concurrent [--processes 16] [--rounds 100] [--real 4]

In each round all processes apply a recipe of two steps and publish to one folder without `--overwrite`; the
steps write some files instead of a model, which is what makes 100 rounds take a minute. `--real` rounds run a
GPTQ recipe with the true steps.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import tempfile
import time
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.artifact import Artifact, ArtifactKind, Silent
from compress.core.errors import CompressError
from compress.core.paths import MANIFEST, folder_digest
from compress.core.profile import load_profile
from compress.core.recipe import Recipe, Step
from compress.pipeline import execute
from compress.pipeline.cache import cache_folder, workspace
from compress.pipeline.execute import Executor
from compress.pipeline.messages import StepReply, place
from compress.pipeline.publish import publish
from compress.pipeline.rows import write_rows
from tests.bench.reliability import forked, jobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.artifact import Progress
    from compress.pipeline.messages import StepRequest

TIMEOUT_S = 600
"""A round that takes longer counts as a deadlock."""


@dataclass
class Count:
    """What was seen. `published` and `made` are to be one and two a round, the other figures 0."""

    rounds: int = 0
    runs: int = 0
    published: int = 0
    made: int = 0
    errors: int = 0
    differing: int = 0
    deadlocks: int = 0
    litter: int = 0


def fake_step(
    root: Path, request: StepRequest, progress: Progress, *, inherited: Sequence[int] = ()
) -> StepReply:
    """Write what a step would, some of it by way of its work folder, and say that it was made."""
    with (root / "made").open("a") as stream:
        stream.write("x")
    request.work.mkdir(exist_ok=True)
    (request.work / "maker").touch(exist_ok=False)  # of a step that two processes make it would be there
    randomness = random.Random(f"{request.seed} {request.step.name}")
    for number in range(4):
        (request.work / str(number)).write_bytes(randomness.randbytes(2000))
        time.sleep(random.uniform(0, 0.002))
        os.link(request.work / str(number), request.folder / f"part-{number}.safetensors")
    (request.folder / "config.json").write_text(json.dumps({"seed": request.seed}))
    return StepReply(result=place(Artifact(kind=ArtifactKind.CHECKPOINT, folder=request.folder, task="x")))


def take_part(root: Path, number: int, *, model: Path, out: Path | None = None) -> str:
    """One process's run of a round: "published" or "refused", and the digest of the step's folder."""
    os.environ["COMPRESS_CACHE"] = str(root / "cache")
    execute.run_child = partial(fake_step, root)
    execute.refuse_step = lambda *words: None
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=model, task="x")
    recipe = Recipe(
        name="fake",
        steps=(Step(name="prune.layers", config={"count": 1}), Step(name="prune.ffn", config={"ratio": 0.1})),
    )
    with workspace() as folder:
        rows = folder / "rows.jsonl"
        executor = Executor(
            steps=cache_folder() / "steps", rows=rows, rows_digest=write_rows([], rows),
            profile=load_profile("cpu"), progress=Silent(), seed=number, processor=model,
        )  # fmt: skip
        made = executor.apply(recipe, source, digest=f"model {number}").made
        digest = folder_digest(made[-1].artifact.folder)
        try:
            publish(
                made[-1].artifact.folder, out or root / "artifacts" / str(number),
                documents=lambda beside: {MANIFEST: "{}"}, seal=lambda beside: None, replace=False,
            )  # fmt: skip
        except CompressError as error:
            if error.code != "output-exists":
                raise
            return f"refused {digest}"
        return f"published {digest}"


def reply(root: Path, number: int, model: Path) -> str:
    """What `take_part` returns, or the traceback of what it raised, which need not fit through a pipe."""
    try:
        return take_part(root, number, model=model)
    except Exception:
        return f"raised {traceback.format_exc()}"


def rounds(root: Path, processes: int, count: int) -> Count:
    """All rounds with steps that write without computing."""
    model = root / "model"
    model.mkdir(parents=True)
    context = multiprocessing.get_context("fork")
    found = Count(rounds=count)
    with context.Pool(processes, maxtasksperchild=None) as pool:
        for number in range(count):
            work = [pool.apply_async(reply, (root, number, model)) for _ in range(processes)]
            replies = []
            for run in work:
                try:
                    replies.append(run.get(TIMEOUT_S))
                except multiprocessing.TimeoutError:
                    found.deadlocks += 1
            found.runs += processes
            raised = [text for text in replies if text.startswith("raised")]
            print(*raised, sep="\n", end="", flush=True)
            found.errors += len(raised)
            found.published += sum(text.startswith("published") for text in replies)
            found.differing += len({text.split()[1] for text in replies if text not in raised}) - 1
    found.made = len((root / "made").read_text())
    found.litter = litter(root)
    return found


def real_rounds(root: Path, processes: int, count: int) -> Count:
    """Rounds of a GPTQ recipe from an empty cache, each run publishing to a folder of its own."""
    job, found = jobs.prepare(root / "models")["gptq"], Count(rounds=count)
    for number in range(count):
        here = root / f"round{number}"
        here.mkdir()
        os.environ["COMPRESS_CACHE"] = str(here / "cache")
        outs = [here / "artifacts" / str(process) for process in range(processes)]
        progress = jobs.Blocks(here / "blocks")
        running = [forked.start(partial(job.run, out, progress=progress), here / "log") for out in outs]
        found.errors += sum(forked.exit_code(pid) != 0 for pid in running)
        found.runs += processes
        digests = {folder_digest(out) for out in outs if out.exists()}
        found.published += sum(out.exists() for out in outs)
        found.differing += len(digests) - 1
        found.made += (here / "blocks").read_text().count("from 0")
        found.litter += litter(here)
    return found


def litter(root: Path) -> int:
    """What is left over though every run has ended."""
    steps = (root / "cache" / "steps").iterdir()
    left = [path for path in steps if path.name.startswith(".") or path.suffix in (".work", ".lock")]
    return len(left) + len(list((root / "artifacts").glob(".*"))) + len(list((root / "cache").glob("run.*")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--real", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if options.rounds:
            print(
                "steps that only write", rounds(root / "fake", options.processes, options.rounds), flush=True
            )
        if options.real:
            print("GPTQ", real_rounds(root / "real", options.processes, options.real), flush=True)


if __name__ == "__main__":
    main()
