"""Static 8-bit layers: weights and activations are rounded to grids that calibration has chosen.

Jacob et al. 2018 (arXiv:1712.05877): uint8 activations with a zero point, int8 weights with one scale a
channel, int32 sums. Written as Quantize/Dequantize pairs in ONNX's standard operators, which ONNX Runtime
and OpenVINO both fuse into integer kernels.
Why only the layers' inputs are rounded: pairs around normalizations, GELU, softmax and residual sums, as
other tools place them, cost a sentence encoder two points of rank correlation, and gain no time.
Outlier channels are the business of `quantize.smooth`, before this step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from compress.core.artifact import GRAPH_NAME, ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.stored_bits import Storage
from compress.graph.activations import RowSample, observe
from compress.graph.edit import Editor
from compress.graph.io import read_graph, write_graph
from compress.graph.layer_error import layer_error
from compress.graph.layers import bias_place, find_layers
from compress.graph.qdq import PairWriter, rewire
from compress.graph.rounding import attention_places, before_clamp, layer_places, sum_places
from compress.numerics.calibrate import Histogram, Rule, choose_range, grid_of, round_to
from compress.numerics.grid import Codes, fit_grid, signed, unsigned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.artifact import Artifact, Context, Feeds
    from compress.graph.layer_error import LayerError
    from compress.graph.layers import Layer
    from compress.graph.rounding import Place, Use
    from compress.numerics.grid import Grid

ACCEPTS = ArtifactKind.ONNX
PRODUCES = ArtifactKind.ONNX

_SIGNED = Codes(-128, 127)
_SAMPLE_ROWS = 256
_SAMPLE_BYTES = 2 * 2**20


class Config(Frozen):
    """Which layers are rounded, and how the grids of their inputs are found."""

    observer: Rule = "minmax"
    """How much of an activation's range 8 bits span: all of it (`minmax`), the mean over items
    (`mean`), all but a tail (`percentile`), or what loses least by divergence (`entropy`) or by squared
    error (`mse`)."""
    percentile: float = Field(default=99.999, gt=50, le=100)
    """Of the observer of that name: percent of the numbers that are kept on each side."""
    items: int = Field(default=128, gt=0)
    """Calibration items."""
    activations: Literal["uint8", "int8"] = "uint8"
    symmetric: bool = False
    """Activations without zero points (128 for uint8)."""
    operators: tuple[Literal["MatMul", "Gemm", "Conv"], ...] = ("MatMul", "Gemm", "Conv")
    attention: bool = False
    """Round queries and keys too. OpenVINO gains from it; ONNX Runtime does not."""
    sums: bool = True
    """Round residual sums between convolutions."""
    correct_bias: bool = True
    """Add to each bias the mean that rounding has taken from the layer's result."""
    minimum_snr_db: float | None = 10.0
    """Layers whose rounding noise is stronger than this below their signal stay floats. None: none do."""
    reduce_range: bool | None = None
    """Keep weights within 7 bits, since kernels without VNNI or dot products add pairs of products in
    16 bits, which overflow otherwise. None: as the target needs it; 7 bits where that is not known."""
    exclude: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of node or weight names that stay as they are."""
    minimum_elements: int = 512
    """Layers with smaller weights stay as they are."""


def storage(config: Config) -> dict[str, Storage]:
    """How `plan` expects each kind of matrix to be stored: QDQ pairs keep a scale and a zero point a row."""
    return {"matrix": Storage(bits=8, row_bits=40, minimum=config.minimum_elements)}


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    del config
    return True


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return True


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    return config.reduce_range is None


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Calibrate, and round the layers of `artifact`'s graph.

    Raises:
        CompressError: the graph has no layer that could be rounded, or there is no calibration data.
    """
    editor = Editor(read_graph(artifact.graph))
    editor.require(13)  # scales by channel
    layers = find_layers(
        editor, operators=config.operators, exclude=config.exclude, minimum_elements=config.minimum_elements
    )
    if not layers:
        message = f"no product or convolution with {config.minimum_elements} constant fp32 numbers or more"
        raise CompressError("nothing-to-quantize", message, hint="leave quantize.static out")
    feeds = context.calibration.feeds(items=config.items)
    if not feeds:
        raise CompressError("data-empty", "no calibration data", hint="name some with --data")
    with context.progress.track("Observing activations"):
        seen = _observe(artifact, editor, layers, config, feeds, seed=context.seed)
    rounding = _Rounding(editor, config, seen, weights=_weight_codes(config, context))
    with context.progress.track("Rounding layers", len(layers)) as advance:
        kept = []
        for layer in layers:
            kept += [layer] if rounding.measure(layer) else []
            advance()
        rounding.write(kept)
    if len(kept) < len(layers):
        context.progress.note(f"{len(layers) - len(kept)} of {len(layers)} layers stay in fp32 (noise)")
    write_graph(editor.finish(), context.folder / GRAPH_NAME)
    return artifact.at(context.folder)


@dataclass
class _Seen:
    """What was observed: histograms of values that get a grid, samples of layers' inputs."""

    histograms: dict[str, Histogram] = field(default_factory=dict)
    rows: dict[str, RowSample] = field(default_factory=dict)
    items: dict[str, np.ndarray] = field(default_factory=dict)


def _observe(
    artifact: Artifact,
    editor: Editor,
    layers: Sequence[Layer],
    config: Config,
    feeds: Sequence[Feeds],
    *,
    seed: int,
) -> _Seen:
    """One run over the calibration data (more where memory asks for it)."""
    sources = {place.source for place in _places(editor, layers, config)}
    seen = _Seen(histograms={name: Histogram() for name in sources})
    convolved = {layer.x for layer in layers if layer.is_convolution}
    multiplied = {layer.x for layer in layers if not layer.is_convolution}
    seen.rows.update({name: RowSample(_SAMPLE_ROWS, seed=seed) for name in sorted(multiplied)})
    counted = config.observer not in {"minmax", "mean"}

    def visit(name: str, array: np.ndarray) -> None:
        if name in seen.histograms:
            seen.histograms[name].add(_finite(array), count=counted)
        if name in seen.rows:
            seen.rows[name].add(array)
        if name in convolved and name not in seen.items:
            seen.items[name] = _few_items(array)

    observe(artifact.graph, sorted(sources | convolved | multiplied), feeds, visit)
    return seen


def _finite(array: np.ndarray) -> np.ndarray:
    """The numbers of an array without infinities and NaN, as rows that are masked out may hold."""
    finite = np.isfinite(array)
    return array if finite.all() else array[finite]


def _few_items(array: np.ndarray) -> np.ndarray:
    """One or more items, as many as are small enough to keep."""
    return array[: max(1, _SAMPLE_BYTES // max(1, array[:1].nbytes))].copy()


def _places(editor: Editor, layers: Sequence[Layer], config: Config) -> list[Place]:
    """Everything that is rounded if `layers` are."""
    places = layer_places(editor, layers)
    if config.sums:
        convolved = [place for place in places if any(node.op_type == "Conv" for node in place.readers)]
        results = layer_places(editor, [layer for layer in layers if layer.is_convolution])
        places += sum_places(editor, [*convolved, *results])
    return [*places, *attention_places(editor)] if config.attention else places


def _weight_codes(config: Config, context: Context) -> Codes:
    saturates = context.profile.int8_saturates
    reduced = config.reduce_range if config.reduce_range is not None else saturates is not False
    return signed(7 if reduced else 8)


class _Rounding:
    """Grids, errors and edits of one graph."""

    def __init__(self, editor: Editor, config: Config, seen: _Seen, *, weights: Codes) -> None:
        self._editor, self._config, self._seen, self._weights = editor, config, seen, weights
        self._grids: dict[tuple[str, Use], Grid] = {}
        self._errors: dict[str, LayerError] = {}
        self._sources = {place.x: place.source for place in _places(editor, find_layers(editor), config)}

    def measure(self, layer: Layer) -> bool:
        """Measure a layer's own error; returns whether it is small enough to round the layer."""
        sample = self._sample(layer)
        if not sample.size or not np.isfinite(sample).all():
            return True
        weight = self._editor.array(layer.weight)
        assert weight is not None
        grid = self._grid(self._sources[layer.x], "activation")
        rows = layer.rows(self._editor)
        weights = fit_grid(rows, codes=self._weights, search=False)
        self._errors[layer.y] = layer_error(
            layer,
            x=sample,
            rounded_x=round_to(grid, sample),
            weight=weight,
            rounded_weight=layer.folded(weights.decode(weights.encode(rows)), self._editor),
        )
        least = self._config.minimum_snr_db
        return least is None or self._errors[layer.y].snr_db >= least

    def write(self, layers: Sequence[Layer]) -> None:
        """Round `layers` and everything between them."""
        places = _places(self._editor, layers, self._config)
        if self._config.correct_bias:
            for layer in layers:
                self._correct(layer)
        writer = PairWriter(self._editor)
        for layer in layers:
            x_scale = float(self._grid(self._sources[layer.x], "activation").scale.item())
            grid = writer.weight(layer, self._weights, x_scale=x_scale)
            writer.bias(layer, grid, x_scale=x_scale)
        for place in places:
            grid = self._grid(place.source, place.use)
            clamped = grid.zero.item() == grid.codes.low
            rounded = writer.pair(before_clamp(self._editor, place.x) if clamped else place.x, grid)
            for node in place.readers:
                rewire(node, place.x, rounded)
        writer.finish()

    def _sample(self, layer: Layer) -> np.ndarray:
        if layer.is_convolution:
            return self._seen.items[layer.x]
        return self._seen.rows[layer.x].rows

    def _grid(self, source: str, use: Use) -> Grid:
        if (source, use) not in self._grids:
            attention = use == "attention"
            codes = _SIGNED if attention or self._config.activations == "int8" else unsigned(8)
            symmetric = attention or self._config.symmetric
            low, high = choose_range(
                self._seen.histograms[source],
                rule=self._config.observer,
                codes=codes,
                symmetric=symmetric,
                percentile=self._config.percentile,
            )
            self._grids[source, use] = grid_of(low, high, codes=codes, symmetric=symmetric)
        return self._grids[source, use]

    def _correct(self, layer: Layer) -> None:
        """Nagel et al. 2019 (arXiv:1906.04721), section 4.2, with the means taken from data."""
        place, error = bias_place(self._editor, layer), self._errors.get(layer.y)
        if place is None or error is None or not error.bias.any():
            return
        node, index = place
        bias = self._editor.array(node.input[index])
        if bias is not None and bias.shape == error.bias.shape and bias.dtype == np.float32:
            node.input[index] = self._editor.add(bias + error.bias, f"{node.input[index]}_corrected")
