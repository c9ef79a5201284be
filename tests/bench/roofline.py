"""How far the roofline's estimates are from measured times, for models that its constants have not seen.

    python -m tests.bench.roofline make FOLDER
    python -m tests.bench.roofline measure FOLDER OUT.json
    python -m tests.bench.roofline fit OUT.json [--forced AVX2.json]
    python -m tests.bench.roofline force FOLDER

`make` exports models of seven architectures in fp32 and int8 (random weights but for the demo: times do not
depend on them). `measure` probes this host and times every graph at batches of 1 and 8. `fit` leaves each
model out in turn, fits the constants on the others, and prints how far its estimates are from its times.

`force` writes a copy of onnxruntime that takes the host for one without AVX-512, since it has no switch for
that: it asks `xgetbv` which registers the system saves, and the copy is answered "up to AVX". Measure with
`PYTHONPATH=FOLDER` for the times of AVX2 kernels, and compare the probe's figures: they tell that it worked.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from rich.console import Console
from rich.table import Table

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.cores import usable_cores
from compress.core.profile import Profile, load_profile
from compress.graph.session import open_runner
from compress.measure.host import detect_host
from compress.measure.operators import Operator, executed
from compress.measure.probe import probe
from compress.measure.roofline import FITTED, Constants, seconds_on
from compress.model.sources import demo_folder
from compress.passes.export import fuse
from compress.passes.export import onnx as export
from compress.passes.quantize import dynamic, static
from tests import tiny

if TYPE_CHECKING:
    from collections.abc import Callable

BATCHES = (1, 8)
LENGTH = 128
_SECONDS = 1.2
_PROFILED = 5

_TEXT = dict(vocab_size=8192, max_position_embeddings=256)
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "minilm": ("", {}, "text"),
    "bert-4x512": (
        "BertModel",
        dict(hidden_size=512, num_hidden_layers=4, num_attention_heads=8, intermediate_size=2048, **_TEXT),
        "text",
    ),
    "distilbert": ("DistilBertModel", dict(n_layers=4, **_TEXT), "text"),
    "vit": (
        "ViTForImageClassification",
        dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=6, intermediate_size=1536),
        "image",
    ),
    "resnet-50": ("ResNetForImageClassification", {}, "image"),
    "convnext-tiny": ("ConvNextForImageClassification", {}, "image"),
    "wav2vec2": ("Wav2Vec2Model", dict(num_hidden_layers=4, conv_dim=(256,) * 7), "sound"),
}
_TASKS = {"text": "feature-extraction", "image": "image-classification", "sound": "feature-extraction"}


def make(root: Path) -> None:
    """Export every model, fuse it, and quantize it: convolutions of images with fixed ranges."""
    for name, (kind, values, modality) in MODELS.items():
        if (root / name / "int8" / "model.onnx").exists():
            continue
        source = demo_folder() if not kind else _built(root / name / "source", kind, values, modality)
        artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=source, task=_TASKS[modality])
        plain = _step(export, artifact, root / name / "plain", {})
        feeds = _feeds(plain.graph, batch=2)
        fp32 = _step(fuse, plain, root / name / "fp32", {}, feeds)
        quantize = static if modality == "image" else dynamic
        _step(quantize, fp32, root / name / "int8", {}, feeds)


def _built(folder: Path, kind: str, values: dict[str, Any], modality: str) -> Path:
    import torch
    import transformers

    torch.manual_seed(0)
    architecture = getattr(transformers, kind)
    architecture(architecture.config_class(**values)).eval().save_pretrained(folder)
    {"text": tiny.tokenizer, "image": tiny.image_processor, "sound": tiny.sound_processor}[modality](folder)
    if modality == "image":
        path = folder / "preprocessor_config.json"
        path.write_text(path.read_text().replace(": 32", ": 224"))
    return folder


def _step(
    module: Any,
    artifact: Artifact,
    folder: Path,
    config: dict[str, Any],
    feeds: dict[str, np.ndarray] | None = None,
) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(
        folder=folder,
        calibration=Fixed([feeds] if feeds else []),
        profile=load_profile("cpu").model_copy(update={"int8_saturates": False}),
        progress=Silent(),
    )
    return module.apply(artifact, module.Config(**config), context)


def _feeds(graph: Path, *, batch: int) -> dict[str, np.ndarray]:
    """Inputs of the usual sizes: 128 tokens, 224 x 224 pixels, 2 seconds of sound."""
    random = np.random.default_rng(0)
    found = {}
    for spec in open_runner(graph).inputs:
        if spec.name == "pixel_values":
            found[spec.name] = random.normal(size=(batch, 3, 224, 224)).astype(np.float32)
        elif spec.name == "input_values":
            found[spec.name] = random.normal(size=(batch, 32000)).astype(np.float32)
        elif spec.name == "input_ids":
            found[spec.name] = random.integers(5, 8000, (batch, LENGTH))
        else:
            value = 0 if spec.name == "token_type_ids" else 1
            length = 32000 if "pixel" not in spec.name and "input_values" in found else LENGTH
            found[spec.name] = np.full((batch, length), value, np.int64)
    return found


def measure(root: Path, out: Path) -> None:
    """Probe this host, then time every graph; what it executes goes beside its times."""
    threads = usable_cores()
    clock = _clock(threads)
    before = probe(threads=threads, clock=clock)
    points = []
    for name in MODELS:
        for form in ("fp32", "int8"):
            for batch in BATCHES:
                points.append(_point(root / name / form / "model.onnx", name, form, batch, threads))
                Console(stderr=True).print(f"{name} {form} {batch}: {points[-1]['seconds'] * 1e3:.1f} ms")
    after = probe(threads=threads, clock=clock)
    peaks = {kind: max(before.peak_gop_s[kind], after.peak_gop_s[kind]) for kind in before.peak_gop_s}
    document = {
        "host": detect_host().describe(),
        "onnxruntime": f"{ort.__version__} in {Path(ort.__file__).parent}",
        "threads": threads,
        "bandwidth_gb_s": max(before.bandwidth_gb_s, after.bandwidth_gb_s),
        "peak_gop_s": peaks,
        "points": points,
    }
    out.write_text(json.dumps(document), encoding="utf8")


def _clock(threads: int) -> Callable[[], float]:
    """One thread's own time, which stops while other programs have its core; of several the wall clock's."""
    return time.process_time if threads == 1 else time.perf_counter


def _point(graph: Path, name: str, form: str, batch: int, threads: int) -> dict[str, Any]:
    feeds = _feeds(graph, batch=batch)
    runner = open_runner(graph, threads=threads)
    runner.run(feeds)
    clock = _clock(threads)
    taken, end = [], clock() + _SECONDS
    while len(taken) < 5 or (clock() < end and len(taken) < 200):
        start = clock()
        runner.run(feeds)
        taken.append(clock() - start)
    operators = executed(graph, feeds)
    durations = _durations(graph, feeds, threads)
    # ONNX Runtime's record has the wall clock's times: they tell the shares of the whole.
    share = min(taken) / sum(durations.get(one.name, 0.0) for one in operators)
    return {
        "model": name,
        "form": form,
        "batch": batch,
        # Other programs only ever add time; the peaks are those of the best moment too.
        "seconds": min(taken),
        "operators": [{**asdict(one), "seconds": share * durations.get(one.name, 0.0)} for one in operators],
    }


def _durations(graph: Path, feeds: dict[str, np.ndarray], threads: int) -> dict[str, float]:
    """The least seconds of each operator, by ONNX Runtime's own record of a few calls."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.intra_op_num_threads = threads
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        for _ in range(_PROFILED):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf8"))
    found: dict[str, list[float]] = {}
    for event in events:
        if event["name"].endswith("_kernel_time"):
            found.setdefault(event["name"].removesuffix("_kernel_time"), []).append(event["dur"] / 1e6)
    return {name: min(times) for name, times in found.items()}


def profile_of(document: dict[str, Any]) -> Profile:
    """The host that was measured, as a target."""
    update = {
        "cores": document["threads"],
        "bandwidth_gb_s": document["bandwidth_gb_s"],
        "peak_gop_s": document["peak_gop_s"],
    }
    return load_profile("cpu").model_copy(update=update)


def operators_of(point: dict[str, Any]) -> list[Operator]:
    return [Operator(**{k: v for k, v in one.items() if k != "seconds"}) for one in point["operators"]]


def fit_constants(document: dict[str, Any], models: set[str]) -> Constants:
    """The constants that the operators of these models ask for, each model weighing the same."""
    profile = profile_of(document)
    points = [one for one in document["points"] if one["model"] in models]
    per_core = profile.peak_gop_s["fp32"] / (profile.cores or 1)
    rates = {
        kind: found
        for kind in sorted({one["type"] for point in points for one in point["operators"]})
        if (found := _rate(points, kind, profile.cores or 1)) is not None
    }
    used = [one for point in points for one in point["operators"] if not one["operations"]]
    total = sum(one["seconds"] for one in used)
    shares = {kind: sum(one["seconds"] for one in used if one["type"] == kind) / total for kind in rates}
    large = {kind: rate for kind, rate in rates.items() if shares[kind] > 0.01}
    rest = [rate for kind, rate in rates.items() if kind not in large]
    return Constants(
        call_s=FITTED.call_s,
        efficiency={kind: _efficiency(points, kind, profile) for kind in ("fp32", "int8", "attention")}
        | {"fp16": 0.7},
        rates=large,
        other_rate=float(np.median(rest)) if rest else FITTED.other_rate,
        core_gop_s=per_core,
    )


def _by_model(points: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The operators of each model, of all its points."""
    names = sorted({point["model"] for point in points})
    return [
        [one for point in points if point["model"] == name for one in point["operators"]] for name in names
    ]


def _rate(points: list[dict[str, Any]], kind: str, cores: int) -> float | None:
    """GB/s of a core in operators of a kind that are no products: the median over models."""
    found = []
    for operators in _by_model(points):
        ones = [one for one in operators if one["type"] == kind and not one["operations"]]
        moved = sum(one["activation_bytes"] for one in ones)
        took = sum(max(one["seconds"] - FITTED.call_s["cpu"], 1e-7) for one in ones)
        if moved and took:
            found.append(moved / took / cores / 1e9)
    return float(np.exp(np.mean(np.log(found)))) if found else None


def _efficiency(points: list[dict[str, Any]], kind: str, profile: Profile) -> float:
    found = []
    for operators in _by_model(points):
        ones = [
            one
            for one in operators
            if one["operations"]
            and kind == ("attention" if one["type"] in ("Attention", "MultiHeadAttention") else one["dtype"])
        ]
        done = sum(one["operations"] for one in ones)
        took = sum(one["seconds"] for one in ones)
        if done:
            peak = profile.peak_gop_s["fp32" if kind == "attention" else kind]
            found.append(done / took / peak / 1e9)
    return float(np.exp(np.mean(np.log(found))))


def errors(
    document: dict[str, Any], constants: dict[str, Constants], profile: Profile
) -> list[tuple[dict[str, Any], float, float]]:
    """(point, estimated seconds, relative error) with each model's own constants."""
    found = []
    for point in document["points"]:
        estimated = seconds_on(profile, operators_of(point), constants=constants[point["model"]])
        found.append((point, estimated, estimated / point["seconds"] - 1))
    return found


def fit(path: Path, forced: Path | None) -> None:
    document = json.loads(path.read_text(encoding="utf8"))
    names = set(MODELS)
    out = {name: fit_constants(document, names - {name}) for name in MODELS}
    console = Console(width=130)
    documents = [document, *([json.loads(forced.read_text(encoding="utf8"))] if forced else [])]
    for one in documents:
        console.print(f"{one['host']}; threads {one['threads']}; {one['onnxruntime']}")
        console.print(f"{one['bandwidth_gb_s']:.1f} GB/s, {one['peak_gop_s']}")
        _compare(console, one, out)
    console.print(fit_constants(document, names))


def _compare(console: Console, document: dict[str, Any], out: dict[str, Constants]) -> None:
    """Times and speedups of int8 over fp32, by the constants as shipped and by each model's own."""
    profile = profile_of(document)
    ways = {"as shipped": dict.fromkeys(MODELS, FITTED), "left out": out}
    found = {title: errors(document, constants, profile) for title, constants in ways.items()}
    table = Table("model", "form", "batch", "measured ms", *ways, box=None)
    for lines in zip(*found.values(), strict=True):
        point = lines[0][0]
        off = [f"{error:+.0%}" for _, _, error in lines]
        table.add_row(
            point["model"], point["form"], str(point["batch"]), f"{point['seconds'] * 1e3:.1f}", *off
        )
    console.print(table)
    for title, lines in found.items():
        _summary(console, f"times, {title}", [off for _, _, off in lines])
        _summary(console, f"speedups, {title}", _speedups(lines))


def _speedups(lines: list[tuple[dict[str, Any], float, float]]) -> list[float]:
    """Relative errors of how many times faster int8 is than fp32."""
    by = {(point["model"], point["batch"], point["form"]): off for point, _, off in lines}
    return [
        (1 + off) / (1 + by[model, batch, "int8"]) - 1
        for (model, batch, form), off in by.items()
        if form == "fp32"
    ]


def _summary(console: Console, title: str, off: list[float]) -> None:
    size = np.abs(off)
    console.print(
        f"{title}: off by {np.median(size):.1%} in the median, {size.max():.1%} at most ({len(off)})"
    )


def force(folder: Path) -> None:
    """Copy onnxruntime and answer its questions after AVX-512 with no."""
    copy = folder / "onnxruntime"
    shutil.copytree(Path(ort.__file__).parent, copy)
    library = next((copy / "capi").glob("onnxruntime_pybind11_state*.so"))
    code, found, at = bytearray(library.read_bytes()), 0, -1
    while (at := code.find(b"\x0f\x01\xd0", at + 1)) >= 0:  # xgetbv
        if b"\x31\xc9" in code[at - 40 : at]:  # xor ecx, ecx: of register 0
            code[at : at + 3] = b"\x6a\x07\x58"  # push 7; pop rax: x87, SSE and AVX
            found += 1
    library.write_bytes(code)
    Console().print(f"{found} places changed in {library}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("make", "force"):
        verbs.add_parser(name).add_argument("folder", type=Path)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("out", type=Path)
    fitting = verbs.add_parser("fit")
    fitting.add_argument("out", type=Path)
    fitting.add_argument("--forced", type=Path)
    words = parser.parse_args()
    if words.verb == "make":
        make(words.folder)
    elif words.verb == "measure":
        measure(words.folder, words.out)
    elif words.verb == "force":
        force(words.folder)
    else:
        fit(words.out, words.forced)


if __name__ == "__main__":
    main()
