"""Pixels uint8 [B, H, W, 3] to tokens [B, N, W]; knows nothing of time or language."""

from encoders.preprocess import Fit, Preprocessing
from encoders.vision_tower import VisionEncoder

__all__ = ["Fit", "Preprocessing", "VisionEncoder"]
