"""A frame's key picture fits its place in memory."""

import cv2
import numpy as np
import pytest

from streamer.picture import MAX_BYTES, encode_jpeg


def _decoded(jpeg: bytes):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_colours_survive():
    pixels = np.zeros((90, 160, 3), np.uint8)
    pixels[...] = (200, 30, 60)
    assert np.abs(_decoded(encode_jpeg(pixels)).astype(int) - pixels).max() <= 4


@pytest.mark.parametrize(
    ("shape", "expected"), [((1080, 1920), (360, 640)), ((100, 640), (100, 640)), ((3, 2000), (1, 640))]
)
def test_it_is_at_most_640_wide(shape, expected):
    assert _decoded(encode_jpeg(np.zeros((*shape, 3), np.uint8))).shape[:2] == expected


def test_noise_still_fits():
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    assert 0 < len(encode_jpeg(noise)) <= MAX_BYTES


def test_what_cannot_fit_is_left_out():
    noise = np.random.default_rng(0).integers(0, 256, (4000, 640, 3), dtype=np.uint8)
    assert encode_jpeg(noise) == b""
