"""Every reader of a stranger's file with a small valid input: what is damaged, and who reads it then."""

from __future__ import annotations

import json
import os
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from compress.core.errors import CompressError
from tests import tiny
from tests.bench.reliability import mutate

Damage = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Reader:
    """One file of one kind of input, and what reads the folder or file that it is in."""

    name: str
    seed: Path
    """A valid file, or a folder that holds `file`."""
    file: str
    damage: Damage
    read: Callable[[Path], object]
    native: bool = False
    """Whether reading starts threads, which a fork of the process would not have."""

    def spoil(self, target: Path, random: Random) -> Path:
        """Make a damaged copy of the seed; the path to read."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.seed, target, copy_function=os.link)
        path = target / self.file
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(self.damage(data, random))
        return path

    def check(self, target: Path, seed: int) -> None:
        """Read a damaged copy; what it raises must be one line with a code."""
        path = self.spoil(target, Random(seed))
        try:
            self.read(path)
        except CompressError as error:
            assert "\n" not in str(error), error
            assert error.code, error


def _json(data: bytes, random: Random) -> bytes:
    return mutate.documents(json.loads(data), random).encode("utf8", "surrogatepass")


def checkpoints(root: Path) -> list[Reader]:
    """Folders of models and a GGUF file, as `plan` reads them."""
    found: list[Reader] = []
    kinds = {
        "bert-classifier": ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"),
        "llama": ("config.json", "generation_config.json", "tokenizer_config.json"),
        "vit": ("config.json", "preprocessor_config.json"),
        "wav2vec2": ("config.json", "preprocessor_config.json", "vocab.json"),
        "whisper-encoder": ("preprocessor_config.json",),
        "bert": ("modules.json", "1_Pooling/config.json", "config_sentence_transformers.json",
                 "sentence_bert_config.json", "model.safetensors.index.json"),
    }  # fmt: skip
    for name, files in kinds.items():
        folder = root / name
        tiny.build(name, folder)
        if name == "bert":
            _embedder(folder)
        for file in files:
            damage = mutate.safetensors if file.endswith(".safetensors") else _json
            read = partial(plan, task="feature-extraction") if name == "whisper-encoder" else plan
            found.append(Reader(f"{name}/{file}", folder, file, damage, read))
    (root / "gguf").mkdir()
    _gguf(root / "gguf" / "model.gguf")
    return [*found, Reader("model.gguf", root / "gguf", "model.gguf", mutate.content, gguf)]


def _embedder(folder: Path) -> None:
    """The files of sentence-transformers, and the weights under an index."""
    kind = "sentence_transformers.models"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{kind}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{kind}.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{kind}.Normalize"},
    ]
    documents: dict[str, Any] = {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True},
        "config_sentence_transformers.json": {"prompts": {"query": "q: "}, "default_prompt_name": None},
        "sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": False},
    }
    (folder / "1_Pooling").mkdir()
    from compress.model.headers import read_header

    shard = "model-00001-of-00001.safetensors"
    (folder / "model.safetensors").rename(folder / shard)
    names = dict.fromkeys(read_header(folder / shard), shard)
    documents["model.safetensors.index.json"] = {"metadata": {"total_size": 1}, "weight_map": names}
    for name, values in documents.items():
        (folder / name).write_text(json.dumps(values), encoding="utf8")


def plan(path: Path, *, task: str | None = None) -> None:
    """Everything that `compress plan` does with a model's folder, and opening its preprocessor."""
    from compress.core.settings import current
    from compress.pipeline.plan import describe, make_plan

    folder = next(parent for parent in path.parents if parent.name == "input")
    flags = {"offline": True, "out": str(folder.parent / "out"), "task": task}
    describe(make_plan(str(folder), current(flags), note=lambda text: None))


def _gguf(path: Path) -> None:
    """A Llama of one layer as the reference library writes it."""
    import gguf as library

    generator = np.random.default_rng(0)
    writer = library.GGUFWriter(path, "llama")
    for add, value in (
        ("context_length", 64), ("embedding_length", 32), ("block_count", 1), ("feed_forward_length", 64),
        ("head_count", 2), ("head_count_kv", 2), ("layer_norm_rms_eps", 1e-5), ("rope_dimension_count", 16),
        ("vocab_size", 64), ("tokenizer_model", "llama"), ("bos_token_id", 1), ("eos_token_id", 2),
    ):  # fmt: skip
        getattr(writer, f"add_{add}")(value)
    pieces = ["<unk>", "<s>", "</s>", *(f"\u2581w{number}" for number in range(61))]
    writer.add_token_list(pieces)
    writer.add_token_scores([-float(number) for number in range(64)])
    writer.add_token_types([2, 3, 3, *[1] * 61])
    shapes = {"token_embd": (64, 32), "output": (64, 32), "output_norm": (32,)}
    shapes |= {f"blk.0.attn_{name}": (32, 32) for name in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (64, 32), "blk.0.ffn_up": (64, 32), "blk.0.ffn_down": (32, 64)}
    shapes |= {"blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", generator.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf(path: Path) -> None:
    """A GGUF file as `plan` opens it, converted by transformers."""
    from compress.model.sources import gguf_folder

    gguf_folder(path, cache=path.parent / "cache", note=lambda text: None)


RECIPE = """\
why: smaller
runtime: onnxruntime
steps:
  - export.onnx: {}
  - quantize.weights: {bits: 8}
"""
PROJECT = """\
target: cpu
max_drop: 1%
column: [text=sentence]
jobs:
  - model: org/name
    targets: [cpu, cpu-avx2]
    data: dev.csv
"""
PYPROJECT = """\
[project]
name = "mine"
[tool.compress]
target = "cpu"
max_drop = "1%"
jobs = [{model = "org/name", targets = ["cpu"]}]
"""


def settings_files(root: Path) -> list[Reader]:
    """What users write themselves, or copy from a stranger's project."""
    from compress.core.profile import profiles_folder

    texts = {
        "recipe.yaml": (RECIPE, recipe),
        "profile.yaml": ((profiles_folder() / "cpu.yaml").read_text(encoding="utf8"), profile),
        "compress.yaml": (PROJECT, project),
        "pyproject.toml": (PYPROJECT, project),
    }
    found = []
    for name, (text, read) in texts.items():
        (root / name).mkdir()
        (root / name / name).write_text(text, encoding="utf8")
        found.append(Reader(name, root / name, name, mutate.lines, read))
    return found


def recipe(path: Path) -> None:
    """A recipe with the settings of its steps."""
    from compress.core.profile import load_recipe
    from compress.pipeline.steps import check_chain, with_export

    check_chain(with_export(load_recipe(str(path))))


def profile(path: Path) -> None:
    """A target's profile, as a run reads it."""
    from compress.core.profile import load_profile

    load_profile(str(path))


def project(path: Path) -> None:
    """A project's settings and its jobs."""
    from compress.core.settings import layered, project_jobs

    for job in project_jobs(path.parent):
        layered({}, folder=path.parent, environment={}, job=job)


def tables(root: Path) -> list[Reader]:
    """Files of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"text": f"a {word} film", "label": index % 2}
        for index, word in enumerate(["good", "bad", "odd", "new"])
    ]
    tagged = [{"tokens": ["Ada", "met", "Bob"], "tags": [1, 0, 1]}] * 3
    answered = [
        {"question": "who?", "context": "Ada met Bob", "answers": {"text": ["Ada"], "answer_start": [0]}}
    ]
    texts = {
        "rows.csv": "text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows),
        "rows.tsv": "text\tlabel\n" + "".join(f"{row['text']}\t{row['label']}\n" for row in rows),
        "rows.jsonl": "\n".join(json.dumps(row) for row in rows),
        "rows.json": json.dumps({"data": rows}),
        "tags.jsonl": "\n".join(json.dumps(row) for row in tagged),
        "tags.conll": "Ada B-PER\nmet O\n\nBob B-PER\n",
        "answers.jsonl": "\n".join(json.dumps(row) for row in answered),
        "squad.json": json.dumps({"data": [{"paragraphs": [{"context": "Ada met Bob", "qas": [
            {"question": "who?", "id": "1", "answers": [{"text": "Ada", "answer_start": 0}]}]}]}]}),
    }  # fmt: skip
    found = []
    for name, text in texts.items():
        (root / name).mkdir()
        (root / name / name).write_text(text, encoding="utf8")
        damage = _json if name.endswith(".json") else mutate.lines
        found.append(Reader(name, root / name, name, damage, data))
    (root / "rows.parquet").mkdir()
    features = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, root / "rows.parquet" / "rows.parquet")
    (root / "rows.arrow").mkdir()
    with pa.ipc.new_file(root / "rows.arrow" / "rows.arrow", table.schema) as writer:
        writer.write_table(table)
    names = ("rows.parquet", "rows.arrow")
    return [*found, *(Reader(name, root / name, name, mutate.content, data) for name in names)]


def data(path: Path) -> None:
    """Rows of the task that the file's name tells."""
    from compress.data.items import load_items

    tasks = {"tags": "token-classification", "answers": "question-answering", "squad": "question-answering"}
    task = tasks.get(path.stem, "text-classification")
    labels = {"no": 0, "yes": 1} if task == "text-classification" else {"O": 0, "B-PER": 1}
    load_items(str(path), task=task, labels=None if path.stem in ("answers", "squad") else labels)


def media(root: Path) -> list[Reader]:
    """Pictures and sounds."""
    import soundfile
    from PIL import Image

    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    found = []
    for suffix in ("png", "jpg", "gif", "tif", "webp", "bmp"):
        (root / suffix).mkdir()
        Image.fromarray(pixels).save(root / suffix / f"a.{suffix}")
        found.append(Reader(f"picture.{suffix}", root / suffix, f"a.{suffix}", mutate.content, picture))
    wave = generator.normal(size=1600).astype(np.float32) / 8
    for suffix in ("wav", "flac", "ogg", "mp3"):
        (root / suffix).mkdir()
        soundfile.write(root / suffix / f"a.{suffix}", wave, 16000)
        found.append(Reader(f"sound.{suffix}", root / suffix, f"a.{suffix}", mutate.content, sound))
    return found


def picture(path: Path) -> None:
    """A picture as data, and its pixels."""
    from compress.data.items import load_items
    from compress.runtime.images import open_image

    load_items(str(path.parent), task="image-classification")
    open_image(path)


def sound(path: Path) -> None:
    """A sound as data, and its samples at 8 kHz."""
    from compress.data.items import load_items
    from compress.runtime.audio import read_audio

    load_items(str(path.parent), task="automatic-speech-recognition")
    read_audio(path, 8000)


def artifacts(root: Path) -> list[Reader]:
    """Saved reports."""
    from compress.report.files import render_all
    from tests.unit.report import example

    folder = root / "report"
    folder.mkdir()
    for name, text in render_all(example.report(), example.evidence()).items():
        if name.endswith(".json"):
            (folder / name).write_text(text, encoding="utf8")
    return [Reader(name, folder, name, _json, report) for name in ("report.json", "evidence.json")]


def report(path: Path) -> None:
    """A saved report in all its forms."""
    from compress.report.files import read_report, render_all
    from compress.report.terminal import as_text, summary

    saved = read_report(path.parent)
    render_all(*saved)
    as_text(summary(*saved))


def published(root: Path) -> list[Reader]:
    """What `run` publishes, as `compress.load` opens it."""
    words = ("config.json", "tokenizer.json", "tokenizer_config.json")
    modules = ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json")
    kinds = {
        "embedder": ("bert", (*words, *modules, "model.onnx", "compress.json")),
        "classifier": ("bert-classifier", words),
        "pictures": ("vit", ("config.json", "preprocessor_config.json")),
        "sounds": ("wav2vec2", (*words, "preprocessor_config.json", "vocab.json")),
        "decoder": ("llama", (*words, "genai_config.json", "generation_config.json")),
    }
    apart(lambda: [_publish(root / source, root / name) for name, (source, _) in kinds.items()])
    found = []
    for name, (_, files) in kinds.items():
        for file in files:
            damage = mutate.content if file.endswith(".onnx") else _json
            if (root / name / file).exists():
                found.append(Reader(f"{name}/{file}", root / name, file, damage, answer, native=True))
    return found


def apart(work: Callable[[], object]) -> None:
    """Do some work in a fork, so that its threads are not missed in later ones."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, "see above"


def _publish(source: Path, target: Path) -> None:
    from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
    from compress.core.profile import load_profile
    from compress.core.recipe import Recipe
    from compress.passes.export import genai, onnx
    from compress.passes.quantize import round as rounding
    from compress.pipeline.manifest import Source, write_manifest

    task = _TASKS[target.name]
    artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=source, task=task)
    steps: list[tuple[Any, dict[str, Any]]] = [(onnx, {})]
    if target.name == "decoder":
        steps = [(rounding, {"group_size": 16}), (genai, {})]
    for number, (step, config) in enumerate(steps, start=1):
        folder = target if number == len(steps) else target.with_name(f"{target.name}-{number}")
        folder.mkdir()
        profile = load_profile("cpu")
        context = Context(folder=folder, calibration=Fixed([]), profile=profile, progress=Silent())
        artifact = step.apply(artifact, step.Config(**config), context)
    runtime = "onnxruntime-genai" if target.name == "decoder" else "onnxruntime"
    write_manifest(
        target, created="2026-12-01T00:00:00+00:00", task=task, source=Source(ref="a/b", digest="d" * 64),
        recipe=Recipe(name="mine", steps=(), runtime=runtime), seed=0, host={}, versions={},
    )  # fmt: skip


_TASKS = {
    "embedder": "feature-extraction",
    "classifier": "text-classification",
    "pictures": "image-classification",
    "sounds": "automatic-speech-recognition",
    "decoder": "text-generation",
}


def answer(path: Path) -> None:
    """An artifact, and an answer of it."""
    import compress

    folder = next(parent for parent in path.parents if parent.name == "input")
    model: Any = compress.load(folder, threads=1)
    if (folder / "genai_config.json").exists():
        model.generate("the quick", tokens=2)
        return
    items: dict[str, Any] = {
        "text": ("who?", "Ada met Bob") if model.task == "question-answering" else "a [MASK] film",
        "image": np.zeros((24, 32, 3), dtype=np.uint8),
        "audio": np.zeros(8000, dtype=np.float32),
    }
    model.predict(items[model.modality])
    if model.task.endswith("classification") and model.task != "token-classification":
        model.classify(items[model.modality])


GROUPS: dict[str, Callable[[Path], list[Reader]]] = {
    "checkpoints": checkpoints,
    "settings": settings_files,
    "tables": tables,
    "media": media,
    "reports": artifacts,
    "published": published,
}
"""What makes the readers of each kind below a folder. What is published is made of the checkpoints."""
