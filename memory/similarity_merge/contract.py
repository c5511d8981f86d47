"""What goes into a consolidation and what comes out, checked once; it knows no implementation."""

import operator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

Similarity = Literal["token_cosine", "mean_dot"]
Merge = Literal["weighted", "halving"]
Backend = Literal["auto", "cpu", "torch", "triton"]

SIMILARITIES, MERGES, BACKENDS = get_args(Similarity), get_args(Merge), get_args(Backend)

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Consolidated:
    """What is left of B cameras' slots, oldest first; survivor k covers the slots boundaries[k] .. boundaries[k + 1]
    - 1.

    tokens: [B, keep, N, W] in the input's dtype and on its device; 0 from `num_kept` on
    weights: float32 [B, keep], frames per survivor; 0 from `num_kept` on
    boundaries: int32 [B, keep + 1]; boundaries[b, 0] > 0 where barriers forced the oldest out; from `num_kept` on the
        last boundary is repeated
    num_kept: int32 [B]
    num_nonfinite: int32 [B], valid slots that held a NaN or an Inf and therefore weigh 0
    backend: the implementation that ran: "cpu", "torch" (the reference) or "triton"

    Raises:
        ValueError: the shapes do not fit each other.
    """

    tokens: Tensor
    weights: Tensor
    boundaries: Tensor
    num_kept: Tensor
    num_nonfinite: Tensor
    backend: str

    def __post_init__(self) -> None:
        num_cameras, keep = self.tokens.shape[:2]
        expected = ((num_cameras, keep), (num_cameras, keep + 1), (num_cameras,), (num_cameras,))
        received = (self.weights.shape, self.boundaries.shape, self.num_kept.shape, self.num_nonfinite.shape)
        if expected != received:
            raise ValueError(
                f"expected weights, boundaries, num_kept and num_nonfinite {[list(shape) for shape in expected]}, "
                f"received {[list(shape) for shape in received]}"
            )

    def __repr__(self) -> str:
        return f"Consolidated(tokens={list(self.tokens.shape)} {self.tokens.dtype}, backend={self.backend!r})"


class Problem(NamedTuple):
    """The checked arguments of one `consolidate`, on one device.

    tokens: [B, T, N, W] float32 | bfloat16 | float16, any strides
    weights: float32 [B, T] contiguous, or None for ones
    num_valid: int32 [B] contiguous, or None for T
    barriers: bool [B, T - 1] contiguous, or None for none
    """

    tokens: Tensor
    keep: int
    weights: Tensor | None
    num_valid: Tensor | None
    barriers: Tensor | None
    width: int
    similarity: Similarity
    merge: Merge


def check(
    tokens: Tensor,
    keep: int,
    *,
    weights: Tensor | None,
    num_valid: Tensor | None,
    barriers: Tensor | None,
    width: int | None,
    similarity: str,
    merge: str,
) -> Problem:
    """Makes a `Problem` of the arguments of `consolidate`.

    Values inside `weights` and `num_valid` are looked at on the CPU only: on a GPU that would wait for the device.

    Raises:
        ValueError: an argument does not fit; the text has what was expected and what was received.
    """
    if not isinstance(tokens, Tensor):
        raise ValueError(f"expected tokens as a tensor [B, T, N, W], received {type(tokens).__name__}")
    if tokens.ndim != 4 or 0 in tokens.shape or tokens.dtype not in _DTYPES or tokens.layout is not torch.strided:
        raise ValueError(
            "expected tokens [B, T, N, W], no size 0, in float32, bfloat16 or float16, "
            f"received {list(tokens.shape)} {tokens.dtype} {tokens.layout}"
        )
    if tokens.device.type == "meta":
        raise ValueError("expected tokens on a device that holds numbers, received them on meta")
    num_cameras, num_slots, _, stored_width = tokens.shape
    keep = _whole_number("keep", keep, num_slots)
    width = stored_width if width is None else _whole_number("width", width, stored_width)
    if similarity not in SIMILARITIES:
        raise ValueError(f"expected similarity to be one of {SIMILARITIES}, received {similarity!r}")
    if merge not in MERGES:
        raise ValueError(f"expected merge to be one of {MERGES}, received {merge!r}")
    _check_like("weights", weights, (num_cameras, num_slots), tokens.device)
    _check_like("num_valid", num_valid, (num_cameras,), tokens.device)
    _check_like("barriers", barriers, (num_cameras, num_slots - 1), tokens.device)
    if weights is not None and (weights.is_complex() or weights.dtype is torch.bool):
        raise ValueError(f"expected weights as real numbers, received {weights.dtype}")
    if num_valid is not None and (
        num_valid.is_floating_point() or num_valid.is_complex() or num_valid.dtype is torch.bool
    ):
        raise ValueError(f"expected num_valid in an integer dtype, received {num_valid.dtype}")
    if barriers is not None and barriers.dtype is not torch.bool:
        raise ValueError(f"expected barriers in bool, received {barriers.dtype}")
    if weights is not None:
        weights = weights.detach().to(torch.float32).contiguous()
    _check_values(weights, num_valid, num_slots)
    return Problem(
        tokens=tokens.detach() if tokens.requires_grad else tokens,
        keep=keep,
        weights=weights,
        num_valid=None if num_valid is None else num_valid.to(torch.int32).contiguous(),
        barriers=None if barriers is None else barriers.contiguous(),
        width=width,
        similarity="token_cosine" if similarity == "token_cosine" else "mean_dot",
        merge="weighted" if merge == "weighted" else "halving",
    )


def _whole_number(name: str, value: object, most: int) -> int:
    """Python's or NumPy's, but no bool and no float that happens to be whole."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 1 <= number <= most:
        raise ValueError(f"expected {name} in 1..{most}, received {value!r}")
    return number


def _check_like(name: str, tensor: Tensor | None, shape: tuple[int, ...], device: torch.device) -> None:
    if tensor is None:
        return
    if not isinstance(tensor, Tensor):
        raise ValueError(f"expected {name} as a tensor {list(shape)}, received {type(tensor).__name__}")
    if tuple(tensor.shape) != shape or tensor.device != device:
        raise ValueError(f"expected {name} {list(shape)} on {device}, received {list(tensor.shape)} on {tensor.device}")


def _check_values(weights: Tensor | None, num_valid: Tensor | None, num_slots: int) -> None:
    if num_valid is not None and num_valid.device.type == "cpu":
        low, high = int(num_valid.min()), int(num_valid.max())
        if low < 0 or high > num_slots:
            raise ValueError(f"expected num_valid in 0..{num_slots}, received {low}..{high}")
    if weights is not None and weights.device.type == "cpu":
        counted = weights
        if num_valid is not None:
            valid = torch.arange(num_slots)[None] < num_valid[:, None]
            counted = torch.where(valid, weights, torch.ones_like(weights))
        is_right = (counted > 0) & (counted < torch.inf)
        if not bool(is_right.all()):
            raise ValueError(
                f"expected weights that are positive and finite in float32, received {counted[~is_right][0].item()}"
            )
        largest = float(counted.sum(1, dtype=torch.float64).max())
        if largest > torch.finfo(torch.float32).max:
            raise ValueError(f"expected weights whose sum is finite in float32, received a sum of {largest:.3g}")
