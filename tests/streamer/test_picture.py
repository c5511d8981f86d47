"""A frame's key picture fits its place in memory."""

import cv2
import numpy as np
import pytest

from streamer.picture import MAX_BYTES, decode_jpeg, encode_jpeg


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


@pytest.mark.parametrize(("shape", "expected"), [((4000, 640), (2000, 320)), ((70_000, 640), (10240, 94))])
def test_what_cannot_fit_in_any_quality_is_made_smaller(shape, expected):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    jpeg = encode_jpeg(noise)
    assert len(jpeg) <= MAX_BYTES
    assert _decoded(jpeg).shape[:2] == expected


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 640), (4000, 3), (1, 16384), (16384, 1)])
def test_odd_sizes_are_pictures(shape):
    pixels = np.full((*shape, 3), 90, np.uint8)
    assert np.abs(_decoded(encode_jpeg(pixels)).astype(int) - 90).max() <= 4


@pytest.mark.parametrize("shape", [(0, 0), (0, 5)])
def test_no_pixels_are_no_picture_and_fails(shape):
    with pytest.raises(ValueError, match=f"got {shape[1]}x0"):
        encode_jpeg(np.zeros((*shape, 3), np.uint8))


def test_a_jpeg_comes_back_as_it_was_and_what_is_none_does_not():
    pixels = np.zeros((90, 160, 3), np.uint8)
    pixels[:, :80] = (200, 30, 10)
    read = decode_jpeg(encode_jpeg(pixels))
    assert read.shape == pixels.shape
    assert np.abs(read.astype(int) - pixels)[:, :70].max() < 12
    assert decode_jpeg(b"") is None
    assert decode_jpeg(b"no jpeg") is None
