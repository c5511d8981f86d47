"""The form of the published consolidation, as facts to measure and to test against; none of ours is in it.

MovieChat's code keeps a list of frames, computes all similarities anew after each merge (the mean of all N x N dot
products of two neighbours), takes the first of the largest, and makes the merged frame on the host: on a GPU that is a
copy there and back per merge, and every comparison of the list waits for the device.
"""

import torch
from torch import Tensor


def published_loop(frames: list[Tensor], keep: int) -> list[Tensor]:
    """frames: T tensors [N, D] on any device -> `keep` tensors [N, D] there."""
    frames = list(frames)
    device = frames[0].device
    while len(frames) > keep:
        similarities = [torch.mean(frames[k] @ frames[k + 1].transpose(-1, -2)) for k in range(len(frames) - 1)]
        largest = max(similarities)
        best = similarities.index(largest)
        frames[best] = ((frames[best].cpu() + frames[best + 1].cpu()) / 2).to(device)
        del frames[best + 1]
    return frames
