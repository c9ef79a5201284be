"""Pixel values equal to those of transformers' own processors (their Pillow backend)."""

from __future__ import annotations

import importlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from compress.core.errors import CompressError
from compress.graph.session import TensorSpec
from compress.runtime.image_settings import DEFAULTS
from compress.runtime.images import load_images, open_image

PIXELS = [TensorSpec("pixel_values", "float32", (None, 3, None, None))]


def pictures():
    generator = np.random.default_rng(0)
    shapes = [(300, 420), (97, 64), (224, 224), (513, 260)]
    coarse = [generator.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)) for height, width in shapes]
    return [
        Image.fromarray(cells.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        for cells, (height, width) in zip(coarse, shapes, strict=True)
    ]


CASES = [
    ("vit", "ViT", {}),
    ("vit", "ViT", {"size": 32, "resample": 3, "image_mean": [0.1, 0.2, 0.3]}),
    ("vit", "ViT", {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 200, "width": 231}}),
    ("deit", "DeiT", {}),
    ("beit", "Beit", {"do_center_crop": True}),
    ("clip", "CLIP", {}),
    ("clip", "CLIP", {"size": 100, "crop_size": 120}),
    ("chinese_clip", "ChineseCLIP", {}),
    ("bit", "Bit", {"size": {"shortest_edge": 99}}),
    ("blip", "Blip", {}),
    ("siglip", "Siglip", {"size": {"height": 64, "width": 80}}),
    ("pvt", "Pvt", {}),
    ("segformer", "Segformer", {"do_center_crop": True, "crop_size": 50}),
    ("mobilenet_v1", "MobileNetV1", {}),
    ("mobilenet_v2", "MobileNetV2", {}),
    ("mobilevit", "MobileViT", {}),
    ("efficientnet", "EfficientNet", {"size": {"height": 64, "width": 64}}),
    ("efficientnet", "EfficientNet", {"rescale_offset": True, "rescale_factor": 1 / 127.5}),
    ("efficientnet", "EfficientNet", {"include_top": False}),
    ("levit", "Levit", {}),
    ("poolformer", "PoolFormer", {}),
    ("poolformer", "PoolFormer", {"size": {"height": 90, "width": 90}}),
    ("convnext", "ConvNext", {}),
    ("convnext", "ConvNext", {"size": {"shortest_edge": 224}}),
    ("convnext", "ConvNext", {"size": 30, "crop_pct": 0.95}),
]  # fmt: skip


@pytest.mark.parametrize(("module", "kind", "values"), CASES)
def test_pixels_equal_those_of_transformers(tmp_path, module, kind, values):
    source = importlib.import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    processor = getattr(source, f"{kind}ImageProcessorPil")(**values)
    processor.save_pretrained(tmp_path)
    ours = load_images(tmp_path, inputs=PIXELS)
    for picture in pictures():
        expected = np.asarray(processor(picture, return_tensors="np")["pixel_values"])
        found = ours.feeds([{"image": picture}])["pixel_values"]
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert found.dtype == np.float32


@pytest.mark.parametrize(("module", "kind"), sorted({(module, kind) for module, kind, _ in CASES}))
def test_defaults_are_those_of_the_classes(module, kind):
    source = importlib.import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    theirs = getattr(source, f"{kind}ImageProcessorPil")()
    ours = DEFAULTS[kind]
    names = ["do_resize", "do_center_crop", "do_rescale", "do_normalize"]
    assert [getattr(ours, name) for name in names] == [bool(getattr(theirs, name)) for name in names]
    for name in ("size", "crop_size"):
        assert getattr(ours, name) == (dict(getattr(theirs, name)) if getattr(theirs, name) else None)
    assert ours.resample == theirs.resample
    if ours.do_normalize:
        assert (ours.image_mean, ours.image_std) == (tuple(theirs.image_mean), tuple(theirs.image_std))


@pytest.mark.parametrize(
    ("written", "model_type", "like"),
    [
        ({"feature_extractor_type": "ViTFeatureExtractor", "size": 224}, "vit", "ViT"),
        ({"image_processor_type": "CLIPImageProcessorFast"}, "clip", "CLIP"),
        ({"size": 224, "do_normalize": None, "crop_size": None}, "vit", "ViT"),
        ({"size": 224, "crop_pct": 0.875}, "resnet", "ConvNext"),
        ({"image_mean": [0.5, 0.5, 0.5], "size": 224}, "swin", "ViT"),
    ],
)
def test_old_files_are_read_with_the_defaults_of_their_kind(tmp_path, written, model_type, like):
    import transformers

    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(written))
    values = {name: value for name, value in written.items() if not name.endswith("_type")}
    processor = getattr(transformers, f"{like}ImageProcessorPil")(**values)
    expected = np.asarray(processor(pictures()[0], return_tensors="np")["pixel_values"])
    found = load_images(tmp_path, inputs=PIXELS).feeds([{"image": pictures()[0]}])["pixel_values"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_joint_processor_file_is_read(tmp_path):
    joint = {"image_processor": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 40},
                                 "crop_size": {"height": 32, "width": 32}}}  # fmt: skip
    (tmp_path / "processor_config.json").write_text(json.dumps(joint))
    ours = load_images(tmp_path, inputs=PIXELS)
    assert ours.feeds([{"image": pictures()[0]}])["pixel_values"].shape == (1, 3, 32, 32)


def test_floats_are_resized_without_rounding(tmp_path):
    """DINOv3's processor against PyTorch's antialiased interpolation, which it calls."""
    import torch

    values = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 48, "width": 64}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    picture = pictures()[0]
    pixels = torch.tensor(np.asarray(picture)).permute(2, 0, 1)[None].float() / 255
    resized = torch.nn.functional.interpolate(pixels, (48, 64), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    found = load_images(tmp_path, inputs=PIXELS).feeds([{"image": picture}])["pixel_values"]
    np.testing.assert_allclose(found, ((resized - mean) / std).numpy(), atol=1e-4)


def write(folder, **values):
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}} | values
        )
    )
    return folder


def test_every_form_of_a_picture_gives_the_same_pixels(tmp_path):
    ours = load_images(write(tmp_path), inputs=PIXELS)
    picture = pictures()[0]
    path = tmp_path / "a.png"
    picture.save(path)
    forms = [picture, np.asarray(picture), path, str(path), path.read_bytes()]
    batch = ours.feeds([{"image": form} for form in forms])["pixel_values"]
    assert batch.shape == (5, 3, 32, 32)
    for other in batch[1:]:
        np.testing.assert_array_equal(other, batch[0])


def test_grey_models_get_grey_pictures(tmp_path):
    grey = [TensorSpec("pixel_values", "float32", (None, 1, None, None))]
    ours = load_images(write(tmp_path, image_mean=[0.5], image_std=[0.5]), inputs=grey)
    assert ours.feeds([{"image": pictures()[0]}])["pixel_values"].shape == (1, 1, 32, 32)


def test_transparency_and_rotation_are_taken_off(tmp_path):
    assert open_image(pictures()[1].convert("RGBA")).mode == "RGB"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    buffer = io.BytesIO()
    pictures()[0].save(buffer, format="JPEG", exif=exif)
    assert open_image(buffer.getvalue()).size == (300, 420)


def test_synthetic_pixels_are_deterministic_and_differ(tmp_path):
    ours = load_images(write(tmp_path), inputs=PIXELS)
    first, second = (ours.synthetic(batch=2, length=128)["pixel_values"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (2, 3, 32, 32)
    assert np.abs(first[0] - first[1]).max() > 0.1
    assert first.std() > 0.1


def test_failures_have_a_code(tmp_path):
    with pytest.raises(CompressError) as error:
        load_images(tmp_path, inputs=PIXELS)
    assert error.value.code == "processor-missing"
    for values in ({"image_processor_type": "FuyuImageProcessor"}, {"size": "large"}):
        with pytest.raises(CompressError) as error:
            load_images(write(tmp_path, **values), inputs=PIXELS)
        assert error.value.code == "processor-unsupported"
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(CompressError) as error:
        load_images(tmp_path, inputs=PIXELS)
    assert error.value.code == "config-invalid"
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(CompressError) as error:
        open_image(broken)
    assert error.value.code == "data-unreadable"
    odd = load_images(write(tmp_path, do_resize=False), inputs=PIXELS)
    with pytest.raises(CompressError) as error:
        odd.feeds([{"image": picture} for picture in pictures()])
    assert error.value.code == "image-sizes"
