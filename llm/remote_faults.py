"""What a server means that refuses or fails, whose words differ from server to server; it knows no client library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from llm.errors import RemoteError

Kind = Literal[
    "unreachable",  # nobody listens, or the connection broke before a word came
    "slow",  # no word within the time that is waited for one
    "broken_off",  # some words came, then no more
    "garbled",  # it does not speak as an OpenAI-compatible server does
    "thought_only",  # a thinking model whose answer never came
    "busy",  # 429, 503: later
    "failed",  # 5xx
    "too_long",  # more than its context holds, or more pictures than it takes
    "no_pictures",  # a model that cannot see
    "no_system",  # a chat template without the role
    "no_max_tokens",  # wants max_completion_tokens
    "no_temperature",  # decides by itself
    "no_usage",  # does not know stream_options
    "key",  # 401, 403
    "no_model",  # 404
    "refused",  # any other 4xx
]


class RemoteFault(Exception):  # noqa: N818 - caught within the package; what is told is a RemoteError
    """`message` is one line without secrets; `retry_after_seconds` where the server named it."""

    def __init__(self, kind: Kind, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.retry_after_seconds = retry_after_seconds


_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window|limit)|maximum (model |allowed |input )*length|"
    r"(prompt|input|request|message\w*) (is |are )?too (long|large)|reduce the length|"
    r"too many (images|pictures|tokens)|at most [1-9]\d* image|"
    r"max_(completion_)?tokens must be at least|entity too large",
    re.IGNORECASE,
)
_NO_PICTURES = re.compile(
    r"at most 0 image|not a multimodal|mmproj|"
    r"(image|vision|multimodal|image_url)\b.{0,60}(not |n't |un)support|(not |n't |un)support.{0,60}(image|vision)|"
    r"image_url is only|only text|endpoints found that support image|required for image input|"
    r"unknown variant .?image_url|content.{0,40}(must|should) be a (valid )?string",
    re.IGNORECASE | re.DOTALL,
)
_NO_SYSTEM = re.compile(r"system.{0,20}role|role.{0,20}system|roles must alternate", re.IGNORECASE)
_LATER = (429, 503)
_RATE = re.compile(r"per (min|hour|day|sec)|please wait|try again|rate limit", re.IGNORECASE)
_REQUEST_TOO_LARGE = re.compile(r"request (is )?too large", re.IGNORECASE)
"""Not how much has been asked lately, but this one question: waiting does not help."""


def fault_of_status(status: int, message: str, headers: Mapping[str, str]) -> RemoteFault:
    """Of an HTTP status and what the server says with it. Some say 500, or 404, where others say 400."""
    said = f"({status}: {message[:300]})" if message else f"({status})"
    asked_for = _retry_after_seconds(headers)
    if status in (401, 403):
        return RemoteFault("key", said)
    if status == 413:
        return RemoteFault("too_long", said)
    if status != 429 and _NO_PICTURES.search(message):
        return RemoteFault("no_pictures", said)
    is_rate = status == 429 and _RATE.search(message) is not None and not _REQUEST_TOO_LARGE.search(message)
    if _TOO_LONG.search(message) and not is_rate:
        return RemoteFault("too_long", said)
    if status in (400, 422):
        if "max_completion_tokens" in message:
            return RemoteFault("no_max_tokens", said)
        if "temperature" in message:
            return RemoteFault("no_temperature", said)
        if "stream_options" in message or "include_usage" in message:
            return RemoteFault("no_usage", said)
    if status != 429 and _NO_SYSTEM.search(message):
        return RemoteFault("no_system", said)
    if status in _LATER:
        return RemoteFault("busy", said, asked_for)
    if status >= 500 or status in (408, 409):
        return RemoteFault("failed", said, asked_for)
    return RemoteFault("no_model" if status == 404 else "refused", said)


def told(
    fault: RemoteFault, name: str, *, has_key: bool, key_variable: str, models: list[str] | None = None
) -> RemoteError:
    """What a person is told, and what to do."""
    said = str(fault)
    listed = f"; it has: {', '.join(models[:20])}" if models else ""
    key = f"put the right one into {key_variable}" if has_key else f"set {key_variable}"
    after = f"in {fault.retry_after_seconds:.0f} s" if fault.retry_after_seconds else "later"
    texts: dict[Kind, str] = {
        "unreachable": f"cannot be reached {said}; is the server running, and is the address right?",
        "slow": f"gave no answer {said}; is the server overloaded, or the model too large for it? "
        "A slow one needs a longer model_patience.first_word_seconds",
        "broken_off": f"broke off in the midst of the answer {said}; ask again",
        "garbled": f"does not answer as an OpenAI-compatible server does {said}; does its address end in /v1?",
        "thought_only": f"gave no answer {said}; ask again, or take a model that does not think",
        "busy": f"is busy {said}; ask again {after}",
        "failed": f"failed {said}; see the server's own log",
        "too_long": f"has no room for the question in its context, even without pictures {said}; ask a shorter one",
        "key": f"does not accept the key {said}; {key}",
        "no_model": f"is not there {said}{listed}; give the server's address and a model of its after the #",
    }
    return RemoteError(f"the model {name} {texts.get(fault.kind, f'refuses the question {said}')}")


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds or a date, as HTTP has it; None where it is neither."""
    value = headers.get("retry-after", "")
    if re.fullmatch(r"\d{1,6}(\.\d+)?", value):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
