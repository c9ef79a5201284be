"""sbom.cdx.json: what the artifact is made of, as a CycloneDX 1.6 ML-BOM.

Source: CycloneDX 1.6 (ECMA-424), `component.modelCard`. It is written by hand because the library
for the standard has no model cards yet; the tests validate it with that library's schema.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from compress.core.artifact import GRAPH_NAME
from compress.core.distribution import DISTRIBUTION
from compress.core.paths import file_digest
from compress.report import format as fmt
from compress.report.headline import gains
from compress.report.licence import spdx, stated_licence
from compress.report.tables import settings

if TYPE_CHECKING:
    from pathlib import Path

    from compress.core.report import Evidence, Report

_SERIALS = uuid.UUID("6f0d7d5e-3c0b-5d0b-9f59-1f0f1c5c2a10")
"""The namespace of serial numbers, so that one report always has the same one."""

Json = dict[str, Any]


def render_sbom(report: Report, evidence: Evidence, *, folder: Path) -> str:
    """The bill of materials of an artifact, whose files (without this one) are in `folder`.

    The licence is the one that the model's card in `folder` states.
    """
    licence = stated_licence(folder)
    files = [_file(path) for path in sorted(folder.glob(f"{GRAPH_NAME}*"))]
    libraries = [_library(name, version) for name, version in sorted(evidence.versions.items())]
    source = _source(report, licence)
    document: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": _serial(report, evidence),
        "version": 1,
        "metadata": _metadata(_model(report, evidence, licence, files), evidence),
        "components": [source, *libraries],
        "dependencies": _dependencies([source, *libraries]),
    }
    return f"{json.dumps(document, indent=2)}\n"


def _serial(report: Report, evidence: Evidence) -> str:
    content = report.model_dump_json() + evidence.model_dump_json()
    return f"urn:uuid:{uuid.uuid5(_SERIALS, content)}"


def _metadata(model: Json, evidence: Evidence) -> Json:
    tool = {
        "type": "application",
        "name": "compress",
        "version": evidence.versions.get("compress", "unknown"),
    }
    stamp = {"timestamp": evidence.created} if _is_time(evidence.created) else {}
    return {**stamp, "tools": {"components": [tool]}, "component": model}


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _model(report: Report, evidence: Evidence, licence: str | None, files: list[Json]) -> Json:
    """The artifact: a model with its card, whose ancestor is the source model."""
    name, _, revision = report.model.ref.partition("@")
    component: Json = {
        "type": "machine-learning-model",
        "bom-ref": "artifact",
        "name": f"{fmt.clean(name)} for {fmt.clean(report.target.profile)}",
        "description": gains(report),
        "modelCard": _card(report, evidence),
        "pedigree": {"ancestors": [_source(report, licence, ref="ancestor")]},
        "properties": _properties(report, evidence),
    }
    optional = {"version": fmt.clean(revision), "licenses": _licenses(licence), "components": files}
    return {**component, **{key: value for key, value in optional.items() if value}}


def _source(report: Report, licence: str | None, *, ref: str = "source") -> Json:
    """The model as its authors shipped it, by digest, and by package URL where it is on the Hub."""
    name, _, revision = report.model.ref.partition("@")
    component: Json = {"type": "machine-learning-model", "bom-ref": ref, "name": fmt.clean(name)}
    hashes = []
    if re.fullmatch(r"[0-9a-fA-F]{64}", report.model.digest):
        hashes = [{"alg": "SHA-256", "content": report.model.digest}]
    optional = {
        "version": fmt.clean(revision),
        "hashes": hashes,
        "licenses": _licenses(licence),
        "purl": _purl(name, revision),
    }
    return {**component, **{key: value for key, value in optional.items() if value}}


def _purl(name: str, revision: str) -> str:
    """`pkg:huggingface/org/name@commit`; empty for a model that has no commit on the Hub."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or not re.fullmatch(r"[0-9a-f]{7,40}", revision):
        return ""
    return f"pkg:huggingface/{quote(name)}@{revision}"


def _licenses(licence: str | None) -> list[Json]:
    if licence is None:
        return []
    identifier = spdx(licence)
    return [{"license": {"id": identifier} if identifier else {"name": fmt.clean(licence)}}]


def _card(report: Report, evidence: Evidence) -> Json:
    parameters: Json = {
        "task": fmt.clean(report.model.task),
        "architectureFamily": fmt.clean(report.model.kind),
        "datasets": [_dataset(evidence)],
    }
    if not evidence.data:
        del parameters["datasets"]
    return {
        "bom-ref": "card",
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": _metrics(report)},
        "considerations": {
            "performanceTradeoffs": [gains(report)],
            "technicalLimitations": _limits(evidence),
        },
    }


def _limits(evidence: Evidence) -> list[str]:
    return [fmt.clean(line) for line in [*evidence.noise, *evidence.notes]]


def _dataset(evidence: Evidence) -> Json:
    """The data that the artifact was calibrated and judged on."""
    name = fmt.clean(evidence.data.get("source") or "data")
    facts = [_property(key, value) for key, value in fmt.facts(evidence.data)]
    return {"type": "dataset", "name": name, "contents": {"properties": facts}}


def _metrics(report: Report) -> list[Json]:
    found: list[Json] = []
    accuracy = report.accuracy
    if accuracy is not None:
        metric = fmt.clean(accuracy.metric)
        found.append(
            {"type": metric, "value": repr(accuracy.result), "slice": f"{accuracy.items} test items"}
        )
        bound = {"upperBound": repr(accuracy.drop_upper_95)}
        found.append({"type": f"{metric} drop", "value": repr(accuracy.drop), "confidenceInterval": bound})
    for name, ratio in report.speedup:
        if ratio is not None:
            bounds = {"lowerBound": repr(ratio.low), "upperBound": repr(ratio.high)}
            kind = f"throughput speedup {name}" + ("" if report.target.measured else " (estimated)")
            found.append({"type": kind, "value": repr(ratio.value), "confidenceInterval": bounds})
    return found


def _properties(report: Report, evidence: Evidence) -> list[Json]:
    """How it was quantized: the steps that were kept, and bytes by dtype."""
    found = [
        _property("size_bytes", str(report.result.size_bytes)),
        _property("parameters", str(report.model.parameters)),
        _property("verdict", report.gate.verdict),
    ]
    kept = [line for line in report.steps if line.kept]
    for number, line in enumerate(kept, 1):
        config = {key: value for key, value in line.config.items() if key != "recipe"}
        found.append(_property(f"step:{number}:{fmt.clean(line.name)}", settings(config)))
    by_dtype: dict[str, int] = {}
    for part in evidence.components:
        by_dtype[part.dtype] = by_dtype.get(part.dtype, 0) + part.after_bytes
    return found + [_property(f"bytes:{name}", str(count)) for name, count in by_dtype.items() if count]


def _property(name: str, value: str) -> Json:
    return {"name": f"compress:{name}", "value": value}


def _file(path: Path) -> Json:
    hashes = [{"alg": "SHA-256", "content": file_digest(path)}]
    return {"type": "file", "bom-ref": f"file:{path.name}", "name": path.name, "hashes": hashes}


def _library(name: str, version: str) -> Json:
    """A package that took part. `python` is the interpreter and no package."""
    component: Json = {"type": "platform" if name == "python" else "library", "bom-ref": f"library:{name}"}
    component |= {"name": fmt.clean(name), "version": fmt.clean(version)}
    if component["type"] == "library":
        package = DISTRIBUTION if name == "compress" else name.lower().replace("_", "-")
        component["purl"] = f"pkg:pypi/{quote(package)}@{quote(version)}"
    return component


def _dependencies(components: list[Json]) -> list[Json]:
    refs = [component["bom-ref"] for component in components]
    return [{"ref": "artifact", "dependsOn": refs}, *({"ref": ref} for ref in refs)]
