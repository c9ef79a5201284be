"""Artifacts on another machine: sent there, and timed there in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.measure.remote import RemoteContender, send_graph

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compress.core.artifact import Progress
    from compress.core.profile import Profile
    from compress.measure.remote import Device
    from compress.pipeline.subjects import Subject


def contenders_on(
    device: Device, subjects: Sequence[Subject], profile: Profile, *, progress: Progress
) -> list[RemoteContender]:
    """Send each subject's graph, and give it as a contender there, with the profile's cores or the device's.

    Raises:
        CompressError: a subject has no graph for ONNX Runtime, or cannot be sent.
    """
    for one in subjects:
        if one.runtime != "onnxruntime":
            message = f"'{one.name}' runs on {one.runtime}, and devices are sent ONNX Runtime's graphs alone"
            hint = "publish it first: compress run MODEL --recipe fp32 --allow-fp32"
            raise CompressError("remote-unsupported", message, hint=hint)
    graphs = [(one.name, one.graph) for one in subjects]
    return sent(device, graphs, profile, progress=progress)


def sent(
    device: Device, graphs: Sequence[tuple[str, Path]], profile: Profile, *, progress: Progress
) -> list[RemoteContender]:
    """Send graphs, each with its name, and give them as contenders there. They take the place of those that
    were sent before.

    Raises:
        CompressError: the device lacks the execution provider, or a graph cannot be sent.
    """
    if profile.execution_provider not in device.facts["providers"]:
        message = f"{device.host} has no {profile.execution_provider}"
        raise CompressError("provider-missing", message, hint="install that onnxruntime package there")
    cores = int(device.facts["cores"])
    found = []
    with progress.track(f"send to {device.host}", len(graphs)) as advance:
        for number, (name, graph) in enumerate(graphs):
            contender = RemoteContender(
                name=name,
                device=device,
                graph=send_graph(device, graph, number=number),
                threads=min(profile.threads or cores, profile.cores or cores, cores),
                provider=profile.execution_provider,
            )
            found.append(contender)
            advance()
    return found


def describe(device: Device) -> str:
    """The device in a line: `pi@shelf, aarch64, 4 cores, onnxruntime 1.28.0`."""
    facts = device.facts
    return f"{device.host}, {facts['machine']}, {facts['cores']} cores, onnxruntime {facts['onnxruntime']}"


def on_device(profile: Profile, device: Device) -> Profile:
    """The profile with what it leaves to the device filled in. Whether 8-bit sums saturate there is not
    known, so they are taken to: 7 bits are right on every processor.
    """
    known = {
        "architecture": device.facts["machine"],
        "cores": int(device.facts["cores"]),
        "int8_saturates": True,
    }
    blank = {key: value for key, value in known.items() if getattr(profile, key) is None}
    return profile.model_copy(update=blank)
