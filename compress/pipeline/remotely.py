"""Artifacts on another machine: sent there, and timed there in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.measure.remote import RemoteContender, send_graph

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    if profile.execution_provider not in device.facts["providers"]:
        message = f"{device.host} has no {profile.execution_provider}"
        raise CompressError("provider-missing", message, hint="install that onnxruntime package there")
    cores = int(device.facts["cores"])
    found = []
    with progress.track(f"send to {device.host}", len(subjects)) as advance:
        for number, one in enumerate(subjects):
            contender = RemoteContender(
                name=one.name,
                device=device,
                graph=send_graph(device, one.graph, number=number),
                threads=min(profile.cores or cores, cores),
                provider=profile.execution_provider,
            )
            found.append(contender)
            advance()
    return found


def describe(device: Device) -> str:
    """The device in a line: `pi@shelf, aarch64, 4 cores, onnxruntime 1.28.0`."""
    facts = device.facts
    return f"{device.host}, {facts['machine']}, {facts['cores']} cores, onnxruntime {facts['onnxruntime']}"
