"""What structural pruning loses, beside torch-pruning at the same ratios, without healing and with it.

    python -m tests.bench.pruning demo --data pairs.csv --calibration texts.txt --ratio 0.25 [--steps 200]

With `--steps` both are healed alike, by as many steps of `heal.distill`'s training on the same texts.

MODEL is a sentence embedder. Data are rows `text`, `text_pair`, `label`; judged by Spearman, and by how alike
similarities of random pairs rank to the original's. torch-pruning (`pip install torch-pruning`) is left out
where it is not installed. It sees the same places: the producers of our units, by the size of their groups.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.profile import load_profile
from compress.data.items import load_items
from compress.model.healing.batches import batch_of, divided
from compress.model.healing.loop import Healer, Schedule, take_fastest
from compress.model.healing.losses import Losses
from compress.model.healing.teacher import Teacher
from compress.model.inputs import inputs_of
from compress.model.load import load_module
from compress.model.resolve import resolve
from compress.model.sidecars import inherit_checkpoint
from compress.model.structure.outputs import answer, pooled, ready
from compress.model.structure.sites import sites_of
from compress.model.tokenizer import load_tokenizer
from compress.passes.prune import ffn, heads
from compress.pipeline.cache import cache_folder

SETTINGS = {"": {}, ", widths by layer": {"uniform": False}, ", cut alone": {"reconstruct": False}}
KINDS = {"ffn": ("ffn",), "heads": ("heads",), "ffn and heads": ("heads", "ffn")}


class Bench:
    """A model, its data, and how pruned ones are judged."""

    def __init__(self, folder: Path, data: str, calibration: str, *, limit: int, items: int) -> None:
        self.folder, self.tokenizer = folder, load_tokenizer(folder)
        self.rows = load_items(data, task="feature-extraction", limit=limit).rows
        texts = load_items(calibration, task="feature-extraction", limit=items).rows
        self.feeds = [self.encode([row["text"] for row in texts[i : i + 8]]) for i in range(0, len(texts), 8)]
        self.original = load_module(folder, "feature-extraction")
        self.expected = self.embed(self.original)

    def encode(self, texts: list[str], *, length: int = 128) -> dict[str, np.ndarray]:
        """Texts as inputs, at most `length` tokens each."""
        found = self.tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="np")
        return {name: found[name].astype(np.int64) for name in found}

    def embed(self, module: torch.nn.Module) -> torch.Tensor:
        """Normalised means of the last hidden states, (2 N, D): all first texts, then all second ones."""
        texts = [row[name] for name in ("text", "text_pair") for row in self.rows]
        order = np.argsort([len(text) for text in texts])
        found = torch.empty(len(texts), module.config.hidden_size)
        for part in np.split(order, range(64, len(order), 64)):
            batch = {k: torch.from_numpy(v) for k, v in self.encode([texts[i] for i in part]).items()}
            vectors = pooled(answer(module, batch).values, batch["attention_mask"])
            found[part] = torch.nn.functional.normalize(vectors, dim=-1)
        return found

    def scores(self, vectors: torch.Tensor) -> tuple[float, float]:
        """Spearman with the labels, and with the original's similarities of random pairs."""
        first, second = vectors.chunk(2)
        labels = [float(row["label"]) for row in self.rows]
        left, right = torch.randint(0, len(vectors), (2, 10000), generator=torch.Generator().manual_seed(0))
        pairs = [(one[left] * one[right]).sum(dim=1) for one in (vectors, self.expected)]
        return spearmanr((first * second).sum(dim=1), labels).statistic, spearmanr(*pairs).statistic


def ours(bench: Bench, kinds: tuple[str, ...], ratio: float, work: Path, **config: object) -> torch.nn.Module:
    """Our steps, one after the other."""
    artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=bench.folder, task="feature-extraction")
    for kind in kinds:
        step, folder = {"ffn": ffn, "heads": heads}[kind], Path(tempfile.mkdtemp(dir=work))
        context = Context(
            folder=folder, calibration=Fixed(bench.feeds), profile=load_profile("cpu"), progress=Silent()
        )
        made = step.apply(artifact, step.Config(ratio=ratio, **config), context)
        inherit_checkpoint(artifact.folder, folder)
        artifact = made
    return load_module(artifact.folder, artifact.task)


def theirs(bench: Bench, kinds: tuple[str, ...], ratio: float) -> torch.nn.Module:
    """torch-pruning's groups by their magnitude."""
    import torch_pruning as tp

    module = ready(copy.deepcopy(bench.original))
    sample = inputs_of(module, bench.folder).sample(batch=1, length=8, seed=0)
    run = lambda: answer(module, sample, grad=True)  # noqa: E731
    places = {kind: sites_of(module, kind, run) for kind in kinds}
    module.requires_grad_(True)
    names = {kind: [name for site in found for name in site.units.rows] for kind, found in places.items()}
    count = len(places["heads"][0].units) if "heads" in kinds else 0
    wide = [module.get_submodule(name) for name in names.get("ffn", [])]
    attention = [module.get_submodule(name) for name in names.get("heads", [])]
    pruned = {*wide, *attention}
    tp.pruner.BasePruner(
        module,
        sample,
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.0,
        pruning_ratio_dict=dict.fromkeys([*wide, *attention], ratio),
        num_heads=dict.fromkeys(attention, count),
        prune_num_heads=bool(attention),
        prune_head_dims=False,
        head_pruning_ratio=ratio,
        ignored_layers=[one for one in module.modules() if not list(one.children()) and one not in pruned],
        output_transform=lambda found: found.last_hidden_state,
    ).step()
    return module


def healed(bench: Bench, module: torch.nn.Module, texts: list[str], steps: int) -> torch.nn.Module:
    """`module` after so many steps of 48 texts with the original as its teacher."""
    groups = [sorted(texts, key=len)[start : start + 48] for start in range(0, len(texts) - 47, 48)]
    batches = [batch_of(bench.encode(group, length=64)) for group in groups]
    held_out, learned = divided(batches, long=False)
    teacher = Teacher(copy.deepcopy(bench.original), batches=len(batches), states=False)
    healer = Healer(
        student=module.requires_grad_(True),
        teacher=teacher,
        losses=Losses(),
        batches=learned,
        held_out=held_out,
        schedule=Schedule(steps=steps),
        states=False,
    )
    take_fastest(healer)
    run = healer.heal(lambda count: None)
    print(f"loss {run.curve[0][1]:.3f} -> {run.least:.3f}", file=sys.stderr, flush=True)
    return module.eval()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--ratio", type=float, default=0.25)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--items", type=int, default=256)
    parser.add_argument("--steps", type=int, help="of healing; none without it")
    parser.add_argument("--texts", type=int, default=6000, help="to heal on")
    words = parser.parse_args()
    folder = resolve(
        words.model, task="feature-extraction", offline=True, cache=cache_folder(), note=print
    ).folder
    bench = Bench(folder, words.data, words.calibration, limit=words.limit, items=words.items)
    table = Table("what", "parameters", "Spearman", "change", "rank like the original's")
    base = add(table, "original", bench, bench.original, None)
    rows = load_items(words.calibration, task="feature-extraction", limit=words.texts).rows
    texts = [str(row["text"]) for row in rows]
    with tempfile.TemporaryDirectory() as work:
        for label, kinds in KINDS.items():
            what = f"{label} -{words.ratio:.0%}"
            for name, config in SETTINGS.items():
                made = ours(bench, kinds, words.ratio, Path(work), **config)
                add(table, f"{what}{name}", bench, made, base)
            pruned = {"": ours(bench, kinds, words.ratio, Path(work))}
            pruned[", torch-pruning"] = theirs(bench, kinds, words.ratio)
            add(table, f"{what}, torch-pruning", bench, pruned[", torch-pruning"], base)
            for name, made in pruned.items() if words.steps else []:
                add(table, f"{what}{name}, healed", bench, healed(bench, made, texts, words.steps), base)
    Console().print(table)


def add(table: Table, what: str, bench: Bench, module: torch.nn.Module, base: float | None) -> float:
    """One row; returns Spearman."""
    value, rank = bench.scores(bench.embed(module))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    change = "" if base is None else f"{value - base:+.4f}"
    print(f"{what}: {value:.4f} {change}", file=sys.stderr, flush=True)
    table.add_row(what, f"{parameters:,}", f"{value:.4f}", change, f"{rank:.4f}")
    return value


if __name__ == "__main__":
    main()
