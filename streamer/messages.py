"""Messages between a camera's process and ours: a JSON head and raw pixels on a pipe; knows no process and no camera.

Nothing is unpickled: what decodes hostile video must not be able to run code in the process that it talks to.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from streamer.frame import NO_PIXELS, Frame

__all__ = ["Head", "MessageError", "frame_of_message", "message_of_frame", "pack", "unpack"]

Head = dict[str, Any]

_SIZES = struct.Struct("<II")
_MAX_HEAD_BYTES = 1 << 16
_MAX_BODY_BYTES = 1 << 24


class MessageError(Exception):
    """What came is no message of ours."""


def pack(head: Head, body: bytes = b"") -> bytes:
    """One message."""
    text = json.dumps(head).encode()
    return _SIZES.pack(len(text), len(body)) + text + body


def unpack(read: Callable[[int], bytes]) -> tuple[Head, bytes]:
    """The next message. `read` gives exactly as many bytes as it is asked for.

    Raises: MessageError; what `read` raises.
    """
    head_bytes, body_bytes = _SIZES.unpack(read(_SIZES.size))
    if head_bytes > _MAX_HEAD_BYTES or body_bytes > _MAX_BODY_BYTES:
        raise MessageError(f"a message of {head_bytes} + {body_bytes} bytes is too long")
    try:
        head = json.loads(read(head_bytes))
    except ValueError as error:
        raise MessageError("the head of a message is not JSON") from error
    if not isinstance(head, dict):
        raise MessageError("the head of a message is no mapping")
    return head, read(body_bytes)


def message_of_frame(frame: Frame) -> bytes:
    """A frame as a message: pixels as they are, all else in the head."""
    values = {field.name: getattr(frame, field.name) for field in fields(frame) if field.name != "pixels"}
    return pack({"kind": "frame", "shape": list(frame.pixels.shape), "values": values}, frame.pixels.tobytes())


def frame_of_message(head: Head, body: bytes) -> Frame:
    """Raises: MessageError."""
    try:
        pixels = np.frombuffer(body, np.uint8).reshape(head["shape"]) if body else NO_PIXELS
        return Frame(pixels=pixels, **head["values"])
    except (KeyError, TypeError, ValueError) as error:
        raise MessageError(f"no frame can be made of a message ({error})") from error
