"""What each kind of image processor does where its file does not say otherwise."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.runtime.processors import processor_settings, unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HALF = (0.5, 0.5, 0.5)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_NEAREST, _LANCZOS, _BILINEAR, _BICUBIC = range(4)  # Pillow's numbers, which the files use


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """The steps from a picture to pixel values, named as in preprocessor_config.json."""

    do_resize: bool = True
    size: Mapping[str, int] | None = None
    resample: int = _BILINEAR
    do_center_crop: bool = False
    crop_size: Mapping[str, int] | None = None
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    image_mean: tuple[float, ...] = _HALF
    image_std: tuple[float, ...] = _HALF
    default_to_square: bool = True
    """Whether a `size` that is one number means a square, or the shorter edge."""
    crop_pct: float | None = None
    """Resize the shorter edge to size / crop_pct, so that the crop is that share of it."""
    warp_from: int | None = None
    """Sizes from which the picture is warped to a square, not cropped (ConvNeXT: 384)."""
    rescale_offset: bool = False
    """Subtract one after rescaling (EfficientNet)."""
    include_top: bool = False
    """Divide by the standard deviation a second time (EfficientNet, as its weights were trained)."""
    do_flip_channel_order: bool = False
    """BGR instead of RGB (MobileViT)."""
    resize_floats: bool = False
    """Rescale first, and resize without rounding to 8 bits (DINOv3)."""


def _square(edge: int) -> dict[str, int]:
    return {"height": edge, "width": edge}


_CROPPED: dict[str, Any] = {
    "size": {"shortest_edge": 224},
    "default_to_square": False,
    "resample": _BICUBIC,
    "do_center_crop": True,
    "crop_size": _square(224),
}
_IMAGENET: dict[str, Any] = {"image_mean": _IMAGENET_MEAN, "image_std": _IMAGENET_STD}
_CLIP = ImageSettings(image_mean=_CLIP_MEAN, image_std=_CLIP_STD, **_CROPPED)
_VIT = ImageSettings(size=_square(224))
_MOBILENET = ImageSettings(**_CROPPED | {"size": {"shortest_edge": 256}, "resample": _BILINEAR})

DEFAULTS: dict[str, ImageSettings] = {
    "ViT": _VIT,
    "DeiT": replace(_VIT, size=_square(256), resample=_BICUBIC, do_center_crop=True, crop_size=_square(224)),
    "Beit": replace(_VIT, resample=_BICUBIC, crop_size=_square(224)),
    "CLIP": _CLIP,
    "ChineseCLIP": _CLIP,
    "Bit": _CLIP,
    "Blip": ImageSettings(size=_square(384), resample=_BICUBIC, image_mean=_CLIP_MEAN, image_std=_CLIP_STD),
    "Siglip": replace(_VIT, resample=_BICUBIC, default_to_square=False),
    "Pvt": ImageSettings(size=_square(224), resample=_BICUBIC, **_IMAGENET),
    "Segformer": ImageSettings(size=_square(512), **_IMAGENET),
    "MobileNetV1": _MOBILENET,
    "MobileNetV2": _MOBILENET,
    "MobileViT": ImageSettings(
        **_CROPPED | {"crop_size": _square(256)}, do_normalize=False, do_flip_channel_order=True
    ),
    "EfficientNet": ImageSettings(
        size=_square(346), resample=_BICUBIC, crop_size=_square(289), include_top=True
    ),
    "Levit": ImageSettings(**_CROPPED, **_IMAGENET, crop_pct=224 / 256),
    "PoolFormer": ImageSettings(**_CROPPED, **_IMAGENET, crop_pct=0.9),
    "ConvNext": ImageSettings(
        size={"shortest_edge": 384},
        default_to_square=False,
        resample=_BICUBIC,
        crop_pct=224 / 256,
        warp_from=384,
    ),
    "DINOv3ViT": ImageSettings(size=_square(224), resize_floats=True, **_IMAGENET),
}
"""As the classes of transformers 5 set them; `ImageProcessor` is left off the names."""

KINDS = {
    **dict.fromkeys(("vit", "swin", "swinv2", "vit_msn", "swiftformer", "dinat", "vit_mae"), "ViT"),
    **dict.fromkeys(("convnext", "convnextv2", "resnet", "regnet", "cvt", "van"), "ConvNext"),
    **dict.fromkeys(("beit", "data2vec-vision"), "Beit"),
    **dict.fromkeys(("clip", "clip_vision_model"), "CLIP"),
    **dict.fromkeys(("bit", "dinov2", "focalnet"), "Bit"),
    **dict.fromkeys(("siglip", "siglip_vision_model"), "Siglip"),
    **dict.fromkeys(("mobilevit", "mobilevitv2"), "MobileViT"),
    **{"deit": "DeiT", "levit": "Levit", "poolformer": "PoolFormer", "efficientnet": "EfficientNet"},
    **{"mobilenet_v1": "MobileNetV1", "mobilenet_v2": "MobileNetV2", "pvt": "Pvt", "segformer": "Segformer"},
}
"""The processor that a model type is used with, for folders whose file does not name it."""


def load_image_settings(folder: Path) -> ImageSettings:
    """The settings written in `folder`, over the defaults of their kind.

    Raises:
        CompressError: the processor is missing, of an unsupported kind, or has a size that is none.
    """
    kind, written = processor_settings(folder, part="image_processor", known=KINDS)
    if kind not in DEFAULTS:
        raise unsupported(kind, DEFAULTS)
    base = DEFAULTS[kind]
    known = {field.name for field in fields(ImageSettings)} - {"default_to_square", "warp_from"}
    values = {name: value for name, value in written.items() if name in known and value is not None}
    # Null turns a step off. For anything else it says nothing.
    steps = [name for name, value in written.items() if value is None and name.startswith("do_")]
    values |= dict.fromkeys(known & set(steps), False)
    for name, square in (("size", base.default_to_square), ("crop_size", True)):
        if name in values:
            values[name] = _size(values[name], square=square)
    for name in ("image_mean", "image_std"):
        if name in values:
            values[name] = _channels(values[name])
    # These three kinds ignore what a file says here, whatever is in it.
    if kind == "MobileViT":
        values["do_normalize"] = False
    if kind == "Levit":
        values["crop_pct"] = base.crop_pct
    if kind == "Segformer":
        values["do_center_crop"] = False
    return replace(base, **values)


def _size(value: Any, *, square: bool) -> dict[str, int]:
    """Today's mapping; older files wrote one number, or [height, width]."""
    if isinstance(value, dict):
        return {name: edge for name, edge in value.items() if edge is not None}
    if isinstance(value, int):
        return _square(value) if square else {"shortest_edge": value}
    if isinstance(value, list) and len(value) == 2:
        return {"height": value[0], "width": value[1]}
    message = f"the processor's size {value!r} is none that is known"
    raise CompressError("processor-unsupported", message, hint="see preprocessor_config.json")


def _channels(value: Any) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, list) else (float(value),)
