"""Argument checks that ring, long-term memory and gap log share; each says what was expected and what was received."""

from torch import Tensor


def check_camera(camera: int, num_cameras: int) -> None:
    """Refuses a camera that is not there.

    Raises:
        ValueError: `camera` is not in 0..num_cameras - 1.
    """
    if not 0 <= camera < num_cameras:
        raise ValueError(f"expected a camera in 0..{num_cameras - 1}, received {camera}")


def check_sizes(**sizes: int) -> None:
    """Refuses sizes that are not positive.

    Raises:
        ValueError: one of them is below 1.
    """
    if any(size < 1 for size in sizes.values()):
        raise ValueError(f"expected sizes of at least 1, received {sizes}")


def check_tokens(tokens: Tensor, shape: tuple[int, ...]) -> None:
    """Refuses tokens of another shape, or that are not floating.

    Raises:
        ValueError: shape or dtype do not fit.
    """
    if tuple(tokens.shape) != shape or not tokens.is_floating_point():
        raise ValueError(f"expected floating tokens {list(shape)}, received {tokens.dtype} {list(tokens.shape)}")
