"""Pixels as a vision tower wants them."""

import json

import numpy as np
import pytest
import torch
from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

from encoders import Preprocessing
from llm.choosing import BUNDLED_FOLDER

CPU = torch.device("cpu")


def _preprocessing(**changes):
    values = {"height": 32, "width": 32, "mean": (0.5, 0.4, 0.3), "std": (0.5, 0.25, 0.2)}
    return Preprocessing(**(values | changes))


def test_a_flat_colour_becomes_that_colour_normalised():
    picture = np.empty((45, 80, 3), np.uint8)
    picture[...] = (255, 51, 0)
    planes = _preprocessing().apply([picture], device=CPU, dtype=torch.float32)
    assert planes.shape == (1, 3, 32, 32)
    expected = torch.tensor([(1 - 0.5) / 0.5, (0.2 - 0.4) / 0.25, (0 - 0.3) / 0.2]).view(1, 3, 1, 1)
    torch.testing.assert_close(planes, expected.expand(1, 3, 32, 32), atol=1e-6, rtol=0)


def test_pictures_of_different_sizes_become_one_batch_and_do_not_touch_each_other():
    rng = np.random.default_rng(0)
    pictures = [
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in ((32, 32), (63, 1000), (7, 5))
    ]
    together = _preprocessing().apply(pictures, device=CPU, dtype=torch.float32)
    for row, picture in enumerate(pictures):
        alone = _preprocessing().apply([picture], device=CPU, dtype=torch.float32)
        assert torch.equal(together[row : row + 1], alone)


def test_a_picture_of_the_right_size_is_not_resampled():
    picture = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    resized = _preprocessing().resize(torch.from_numpy(picture)[None])
    assert np.array_equal(resized[0].permute(1, 2, 0).numpy(), picture)


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_the_uint8_resize_agrees_with_the_float_resize_of_other_devices_within_one_level(resample):
    picture = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (1, 360, 640, 3), dtype=np.uint8))
    ours = _preprocessing(resample=resample).resize(picture).float()
    planes = picture.permute(0, 3, 1, 2).float()
    exact = torch.nn.functional.interpolate(planes, (32, 32), mode=resample, antialias=True).clamp(0, 255)
    assert (ours - exact).abs().max() <= 1.0


def test_a_folder_says_mean_std_and_resampling(tmp_path):
    config = {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3], "resample": 3, "rescale_factor": 0.5}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    read = Preprocessing.from_folder(tmp_path, size=(48, 48))
    assert read == Preprocessing(48, 48, (0.1, 0.2, 0.3), (1, 2, 3), 0.5, "bicubic")


def test_a_folder_that_transformers_5_saved_says_it_in_another_file(tmp_path):
    LlavaProcessor(
        CLIPImageProcessorPil(image_mean=[0.1, 0.2, 0.3], image_std=[1, 2, 3], resample=3, rescale_factor=0.5),
        PreTrainedTokenizerFast.from_pretrained(BUNDLED_FOLDER),
    ).save_pretrained(tmp_path)
    assert not (tmp_path / "preprocessor_config.json").exists()
    read = Preprocessing.from_folder(tmp_path, size=(48, 48))
    assert read == Preprocessing(48, 48, (0.1, 0.2, 0.3), (1, 2, 3), 0.5, "bicubic")


def test_a_folder_without_either_file_fails(tmp_path):
    with pytest.raises(FileNotFoundError):
        Preprocessing.from_folder(tmp_path, size=(48, 48))


def test_a_folder_with_an_unknown_resampling_fails(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"resample": 5}))
    with pytest.raises(ValueError, match=r"resample must be one of .*got 5"):
        Preprocessing.from_folder(tmp_path, size=(48, 48))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"height": 0}, "size must be positive"), ({"std": (1, 0, 1)}, "image_std"), ({"resample": "x"}, "resample")],
)
def test_impossible_settings_fail(changes, message):
    with pytest.raises(ValueError, match=message):
        _preprocessing(**changes)
