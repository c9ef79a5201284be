"""Features equal to those of transformers' own extractors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.graph.session import TensorSpec
from compress.runtime.audio import load_audio, read_audio, resampled

RATE = 16000


def waves():
    """Three sounds of 0.4 to 1.1 s: tones in noise, as float32 in [-1, 1]."""
    generator = np.random.default_rng(0)
    lengths = [6400, 17321, 9999]
    tones = [np.sin(2 * np.pi * 440 * (1 + row) * np.arange(n) / RATE) for row, n in enumerate(lengths)]
    return [(0.3 * tone + 0.05 * generator.standard_normal(len(tone))).astype(np.float32) for tone in tones]


def rows():
    return [{"audio": wave} for wave in waves()]


def specs(*names):
    return [TensorSpec(name, "int64" if "mask" in name else "float32", (None, None)) for name in names]


@pytest.mark.parametrize("values", [{"return_attention_mask": True}, {"do_normalize": False}, {}])
def test_waveforms_equal_those_of_transformers(tmp_path, values):
    from transformers import Wav2Vec2FeatureExtractor

    extractor = Wav2Vec2FeatureExtractor(**values)
    extractor.save_pretrained(tmp_path)
    ours = load_audio(tmp_path, inputs=specs("input_values", "attention_mask"))
    for wave in waves():
        expected = extractor(wave, sampling_rate=RATE, return_tensors="np")["input_values"]
        np.testing.assert_allclose(ours.feeds([{"audio": wave}])["input_values"], expected, atol=1e-5)
    assert ours.mixed_lengths == values.get("return_attention_mask", False)
    if ours.mixed_lengths:
        expected = extractor(waves(), sampling_rate=RATE, padding=True, return_tensors="np")
        found = ours.feeds(rows())
        np.testing.assert_allclose(found["input_values"], expected["input_values"], atol=1e-5)
        np.testing.assert_array_equal(found["attention_mask"], expected["attention_mask"])


@pytest.mark.parametrize("values", [{}, {"feature_size": 128, "chunk_length": 1}])
def test_log_mel_equals_that_of_transformers(tmp_path, values):
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(**values)
    extractor.save_pretrained(tmp_path)
    expected = extractor(waves(), sampling_rate=RATE, return_tensors="np", return_attention_mask=True)
    found = load_audio(tmp_path, inputs=specs("input_features", "attention_mask")).feeds(rows())
    np.testing.assert_allclose(found["input_features"], expected["input_features"], atol=1e-4)
    np.testing.assert_array_equal(found["attention_mask"], expected["attention_mask"])


@pytest.mark.parametrize("values", [{}, {"num_mel_bins": 64, "max_length": 50, "do_normalize": False}])
def test_filter_bank_equals_that_of_transformers(tmp_path, values):
    from transformers import ASTFeatureExtractor

    extractor = ASTFeatureExtractor(**values)
    extractor.save_pretrained(tmp_path)
    expected = extractor(waves(), sampling_rate=RATE, return_tensors="np")["input_values"]
    found = load_audio(tmp_path, inputs=specs("input_values")).feeds(rows())["input_values"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_stacked_filter_bank_equals_that_of_transformers(tmp_path):
    from transformers import SeamlessM4TFeatureExtractor

    extractor = SeamlessM4TFeatureExtractor()
    extractor.save_pretrained(tmp_path)
    expected = extractor(waves(), sampling_rate=RATE, return_tensors="np")
    found = load_audio(tmp_path, inputs=specs("input_features", "attention_mask")).feeds(rows())
    np.testing.assert_allclose(found["input_features"], expected["input_features"], atol=1e-4)
    np.testing.assert_array_equal(found["attention_mask"], expected["attention_mask"])


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_keeps_a_tone(rate):
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    expected = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    found = resampled(tone, rate, RATE)
    assert len(found) == RATE
    np.testing.assert_allclose(found[200:-200], expected[200:-200], atol=5e-3)


def test_files_in_stereo_and_at_other_rates_are_read(tmp_path):
    import soundfile

    left, right = 0.5 * np.ones(4000), -0.1 * np.ones(4000)
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, np.stack([left, right], axis=1), 8000)
        found = read_audio(tmp_path / name, RATE)
        assert found.shape == (8000,)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[500:-500], 0.2, atol=2e-3)
        np.testing.assert_array_equal(read_audio((tmp_path / name).read_bytes(), RATE), found)
    np.testing.assert_array_equal(read_audio((left.astype(np.float32), RATE), RATE), left)


def test_synthetic_sound_has_one_length(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(
        '{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}'
    )
    feeds = load_audio(tmp_path, inputs=specs("input_values", "attention_mask")).synthetic(
        batch=2, length=100
    )
    assert feeds["input_values"].shape == (2, 32000)
    assert feeds["attention_mask"].all()
    assert feeds["input_values"].std() == pytest.approx(1, abs=0.01)


def test_the_kind_is_told_by_the_model_where_the_file_does_not(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "hubert"}')
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": true}')
    assert load_audio(tmp_path, inputs=specs("input_values")).feeds(rows()[:1])["input_values"].shape == (
        1,
        6400,
    )


def test_failures_have_a_code(tmp_path):
    with pytest.raises(CompressError) as error:
        load_audio(tmp_path, inputs=specs("input_values"))
    assert error.value.code == "processor-missing"
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"feature_extractor_type": "ClapFeatureExtractor"})
    )
    with pytest.raises(CompressError) as error:
        load_audio(tmp_path, inputs=specs("input_features"))
    assert error.value.code == "processor-unsupported"
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(CompressError) as error:
        read_audio(tmp_path / "a.wav", RATE)
    assert error.value.code == "data-unreadable"
