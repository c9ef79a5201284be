"""How figures are written for people: three significant digits, one unit, intervals beside values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from compress.core.allowance import RELATIVE
from compress.core.units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compress.core.report import Figures, Ratio

TIMES, DASH, MINUS, ARROW = "\u00d7", "\u2013", "\u2212", "\u2192"
AT_MOST, AT_LEAST = "\u2264", "\u2265"
ABSENT = DASH
_ASCII = {TIMES: "x", DASH: "-", MINUS: "-", ARROW: "->", AT_MOST: "<=", AT_LEAST: ">="}

_CONTENDERS = {
    "torch": "PyTorch",
    "torch_bfloat16": "PyTorch bf16",
    "onnxruntime_fp32": "ONNX Runtime fp32",
    "result": "this artifact",
    "artifact": "this artifact",
}


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits, thousands separated, never in exponent form above
    1e-4: `0.0261`, `4.03`, `412`, `12,400`.
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4:
        return f"{value:.{digits - 1}e}"
    rounded = round(value, digits - 1 - exponent)
    return f"{rounded:,.{max(0, digits - 1 - exponent)}f}"


def size(count: float | None) -> str:
    """Bytes in decimal units: `22.9 MB`."""
    if count is None:
        return ABSENT
    number, unit = human_bytes(count).split(" ")
    scale = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    return f"{number if scale == 1 else significant(count / scale)} {unit}"


def milliseconds(value: float | None) -> str:
    """A time given in milliseconds: `4.03 ms`."""
    return ABSENT if value is None else f"{significant(value)} ms"


def seconds(value: float | None) -> str:
    """A duration given in seconds: `0.21 s`, `48.1 s`, `3 min 20 s`, `31 h 45 min`."""
    if value is None:
        return ABSENT
    if value < 120:
        return f"{significant(value)} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def rate(value: float | None, unit: str = "/s") -> str:
    """A throughput in items a second: `412 /s`."""
    return ABSENT if value is None else f"{significant(value)} {unit}"


def factor(value: float | None) -> str:
    """A ratio, followed by the sign of multiplication."""
    return ABSENT if value is None else f"{_ratio(value)}{TIMES}"


def gain(value: float | None, worse: str = "slower") -> str:
    """How many times better something is, or how many times worse: `2.71x`, `20.2x slower`."""
    if value is None or value >= 1 or value <= 0:
        return factor(value)
    return f"{factor(1 / value)} {worse}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if 0.05 <= value < 10 else significant(value)


def interval(ratio: Ratio | None) -> str:
    """How many times faster something is, with its interval in brackets: `2.71x (2.39-2.84)`; of what is
    slower, how many times that is: `20.2x slower (18.1-22.0)`.
    """
    if ratio is None:
        return ABSENT
    if ratio.low > 0 and ratio.value < 1:
        return f"{gain(ratio.value)} ({_ratio(1 / ratio.high)}{DASH}{_ratio(1 / ratio.low)})"
    return f"{factor(ratio.value)} ({_ratio(ratio.low)}{DASH}{_ratio(ratio.high)})"


def is_relative(metric: str) -> bool:
    """Whether drops of `metric` are relative increases (perplexity) and not differences."""
    return metric in RELATIVE


def drop(value: float | None, metric: str) -> str:
    """A drop of accuracy in points, or in percent for perplexity; positive is worse: `0.26 pt`."""
    if value is None:
        return ABSENT
    unit = "%" if is_relative(metric) else " pt"
    text = f"{100 * value:.2f}"
    return f"{'0.00' if text == '-0.00' else text}{unit}".replace("-", MINUS)


def score(value: float | None) -> str:
    """A metric's value with four significant decimals: `0.8203`, `23.44`."""
    if value is None:
        return ABSENT
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def plain(text: str) -> str:
    """The same in ASCII, for terminals and logs of any encoding."""
    return "".join(_ASCII.get(sign, sign) for sign in text)


def clean(text: object, limit: int = 400) -> str:
    """Text from a model's files in one line: control characters out, its length limited."""
    line = " ".join(str(text).split())
    line = "".join(sign if sign.isprintable() else "?" for sign in line)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def metric_name(metric: str) -> str:
    """A metric's name as it is written in prose: `exact_match` is `exact match`."""
    words = {"spearman": "Spearman", "pearson": "Pearson", "f1": "F1", "wer": "WER", "kl": "KL"}
    return " ".join(words.get(word, word) for word in clean(metric).replace("_", " ").split())


def contender(name: str) -> str:
    """A contender's name in prose."""
    return _CONTENDERS.get(name, clean(name).replace("_", " "))


def describe(value: object) -> str:
    """Any JSON value in one line, for facts whose keys are free (host, data, parity)."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return significant(value) if isinstance(value, float) else f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{clean(key)}: {describe(item)}" for key, item in value.items()) or ABSENT
    if isinstance(value, list | tuple):
        return ", ".join(describe(item) for item in value) or ABSENT
    return ABSENT if value in (None, "") else clean(value)


def facts(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Free keys and values as labelled lines: `memory_gib: 7.7` is `("memory GiB", "7.7")`."""
    return [(_label(key), describe(value)) for key, value in values.items()]


def _label(key: str) -> str:
    words = {"gib": "GiB", "cpu": "CPU", "id": "id", "os": "OS", "isa": "instruction sets", "rss": "RSS"}
    return " ".join(words.get(word, word) for word in clean(key).replace("_", " ").split())


FIGURES = (
    ("size_bytes", "size", size),
    ("latency_ms.p50", "latency, median", milliseconds),
    ("latency_ms.p95", "latency, 95th percentile", milliseconds),
    ("throughput_per_s", "throughput", rate),
    ("prefill_tokens_per_s", "prefill tokens", rate),
    ("decode_tokens_per_s", "decoded tokens", rate),
    ("time_to_first_token_ms", "time to first token", milliseconds),
    ("load_s", "load time", seconds),
    ("peak_rss_bytes", "peak memory", size),
)
"""What is known of a contender: its key in `Figures`, its name, and how it is written."""


def figure(figures: Figures | None, key: str) -> float | None:
    """The value at a dotted key of `FIGURES`, None where it was not measured."""
    value: object = figures
    for part in key.split("."):
        value = getattr(value, part, None)
    return value if isinstance(value, int | float) else None
