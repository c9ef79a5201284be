"""Pictures to pixel values, with Pillow and NumPy, as transformers' processors make them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from compress.core.errors import CompressError
from compress.core.foreign import translated
from compress.core.media_files import open_picture
from compress.runtime.image_settings import ImageSettings, load_image_settings
from compress.runtime.preprocess import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.graph.session import TensorSpec


class ImagePreprocessor:
    """Rows with `image` (a path, bytes, a PIL image, or uint8 (H, W, C)) to float pixels (B, C, H, W)."""

    modality = "image"
    mixed_lengths = True

    def __init__(self, settings: ImageSettings, *, pixels: TensorSpec) -> None:
        self.settings = settings
        self._pixels = pixels
        channels = pixels.shape[1] if len(pixels.shape) == 4 else None
        self._mode = "L" if (channels or len(settings.image_mean)) == 1 else "RGB"

    def feeds(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """One array: `pixel_values`, (batch, channels, height, width).

        Raises:
            CompressError: a picture cannot be read, or the processor leaves them of different sizes.
        """
        arrays = [pixel_values(open_image(row["image"], self._mode), self.settings) for row in rows]
        if len({array.shape for array in arrays}) > 1:
            message = "this model's processor keeps each picture's own size, so they make no batch"
            raise CompressError("image-sizes", message, hint="give pictures of one size, or one at a time")
        return {"pixel_values": np.stack(arrays).astype(self._pixels.dtype)}

    def synthetic(self, *, batch: int, length: int) -> dict[str, np.ndarray]:
        """Smooth coloured waves of 640 x 480, through the processor; `length` is ignored."""
        del length
        return self.feeds([{"image": _waves(row)} for row in range(batch)])


def load_images(folder: Path, *, inputs: Sequence[TensorSpec]) -> ImagePreprocessor:
    """The processor whose preprocessor_config.json (or processor_config.json) is in `folder`.

    Raises:
        CompressError: it is missing or of an unsupported kind, or an input cannot be filled.
    """
    refuse_unknown(inputs, {"pixel_values"})
    return ImagePreprocessor(load_image_settings(folder), pixels=inputs[0])


def open_image(value: Any, mode: str = "RGB") -> Image.Image:
    """The picture as its camera meant it to be seen, in `mode` (`RGB`, or `L` for grey).

    Raises:
        CompressError: it cannot be read.
    """
    name = value if isinstance(value, str | Path) else "an image"
    with translated("data-unreadable", f"{name} cannot be read", hint="mend or remove the file"):
        if isinstance(value, np.ndarray):
            image = Image.fromarray(value)
        elif isinstance(value, bytes | str | Path):
            image = open_picture(Path(value) if isinstance(value, str) else value)
        else:
            image = value
        return ImageOps.exif_transpose(image).convert(mode)


def pixel_values(image: Image.Image, settings: ImageSettings) -> np.ndarray:
    """One picture as float32 (C, H, W): resized, cropped, rescaled, normalized."""
    if settings.resize_floats:
        pixels = _resized_floats(image, settings)
    else:
        pixels = _channels_first(_resized(image, settings)).astype(np.float64)
        pixels = pixels * settings.rescale_factor if settings.do_rescale else pixels
    if settings.do_center_crop and settings.crop_size:
        pixels = center_crop(pixels, settings.crop_size["height"], settings.crop_size["width"])
    pixels = pixels.astype(np.float32)
    if settings.rescale_offset:
        pixels = pixels - np.float32(1)
    if settings.do_normalize:
        pixels = _normalized(pixels, settings.image_mean, settings.image_std)
    if settings.include_top:
        pixels = _normalized(pixels, (0.0,), settings.image_std)
    return np.ascontiguousarray(pixels[::-1]) if settings.do_flip_channel_order else pixels


def center_crop(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle (C, height, width) of (C, H, W), with zeros around a picture that is smaller."""
    high, wide = max(height - pixels.shape[1], 0), max(width - pixels.shape[2], 0)
    around = ((0, 0), ((high + 1) // 2, high // 2), ((wide + 1) // 2, wide // 2))
    pixels = np.pad(pixels, around) if high or wide else pixels
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    return pixels[:, top : top + height, left : left + width]


def target_size(height: int, width: int, settings: ImageSettings) -> tuple[int, int]:
    """The (height, width) that a picture of `height` x `width` is resized to.

    Raises:
        CompressError: the processor's size has neither edges nor a shorter edge.
    """
    size = settings.size or {}
    if "height" in size and "width" in size:
        return _exact(height, width, size, settings.crop_pct)
    edge = size.get("shortest_edge")
    if not edge or "longest_edge" in size:
        message = f"the processor's size {dict(size)} is none that is known"
        raise CompressError("processor-unsupported", message, hint="see preprocessor_config.json")
    if settings.warp_from and edge >= settings.warp_from:
        return edge, edge
    return _shortest_edge(height, width, int(edge / settings.crop_pct) if settings.crop_pct else edge)


def _exact(height: int, width: int, size: Mapping[str, int], crop_pct: float | None) -> tuple[int, int]:
    """The size itself; where a share of the edge is cropped (PoolFormer), what that crop is taken of."""
    if crop_pct is None:
        return size["height"], size["width"]
    if size["height"] == size["width"]:
        return _shortest_edge(height, width, int(size["height"] / crop_pct))
    return int(size["height"] / crop_pct), int(size["width"] / crop_pct)


def _shortest_edge(height: int, width: int, edge: int) -> tuple[int, int]:
    longer = int(edge * max(height, width) / min(height, width))
    return (longer, edge) if width <= height else (edge, longer)


def _resized(image: Image.Image, settings: ImageSettings) -> Image.Image:
    if not settings.do_resize:
        return image
    height, width = target_size(image.height, image.width, settings)
    image = image.resize((width, height), resample=Image.Resampling(settings.resample))
    edge = (settings.size or {}).get("shortest_edge", 0)
    if settings.warp_from and edge < settings.warp_from:
        pixels = center_crop(_channels_first(image), edge, edge)
        return Image.fromarray(np.moveaxis(pixels, 0, -1).squeeze())
    return image


def _resized_floats(image: Image.Image, settings: ImageSettings) -> np.ndarray:
    pixels = _channels_first(image).astype(np.float32)
    pixels = pixels * np.float32(settings.rescale_factor) if settings.do_rescale else pixels
    if not settings.do_resize:
        return pixels
    height, width = target_size(image.height, image.width, settings)
    planes = [Image.fromarray(plane) for plane in pixels]
    return np.stack([np.asarray(plane.resize((width, height), settings.resample)) for plane in planes])


def _channels_first(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)  # (H, W, C) -> (C, H, W)


def _normalized(pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    columns = [np.asarray(values, dtype=np.float32)[:, None, None] for values in (mean, std)]
    return np.asarray((pixels - columns[0]) / columns[1])


def _waves(row: int) -> Image.Image:
    y, x = np.mgrid[0:480, 0:640] / 480.0
    phases = np.array([0.0, 2.1, 4.2]) + row
    values = np.sin(9 * x[..., None] + 5 * y[..., None] ** 2 + phases) * np.cos(7 * y[..., None] - phases)
    return Image.fromarray((127.5 * (values + 1)).astype(np.uint8))
