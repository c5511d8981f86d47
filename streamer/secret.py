"""A camera's address that cannot be shown by accident, and a filter for foreign texts; knows no camera."""

import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

__all__ = ["HIDDEN", "SecretUrl", "redact"]

HIDDEN = "***"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_NAMED_SECRET = re.compile(
    r"((?:user(?:name)?|usr|login\w*|pass\w*|pwd|token|secret|auth\w*|key|credentials?|signature"
    r"|(?<![A-Za-z0-9])(?:p|u|pw|psw|psk|pin|sig|sid|jwt|session(?:_?id)?))=)([^&;?#\s'\"]*)",
    re.IGNORECASE,
)
_LIKE_AN_ADDRESS = re.compile(
    r"[\"'\s/]*(?:(?:rtsps?|https?|demo)(?:[:;]/*|//+)|(?=(?:\d{1,3}\.){3}\d{1,3}(?:[:/]|$)))", re.IGNORECASE
)
_PLAIN_PATH = re.compile(r"(?:/(?!/)|~|\.\.?/)[^:@]*@[^@]*")
"""/clips/a@b.mp4, but not /user:password@host"""


@dataclass(frozen=True, slots=True, repr=False)
class SecretUrl:
    """A camera's URL or file path. `str()` and `repr()` hide user, password and secrets in the query.

    scheme     lower case; "" for a file path
    user_info  "user:password" as FFmpeg wants it (percent-encoded), or None
    location   what follows: host, port, path and query; for a file the path
    typed      as it was typed: for the filter only
    """

    scheme: str
    user_info: str | None
    location: str
    typed: str

    @classmethod
    def parse(cls, text: str) -> "SecretUrl":
        """Reads what people type; a password may hold @ / # : where the host is still recognisable."""
        text = text.strip()
        match = _SCHEME.fullmatch(text)
        if match is None:
            return cls("", None, text.removeprefix("file:"), text)
        scheme, rest = match[1].lower(), match[2]
        if scheme == "file":
            return cls("", None, unquote(rest), text)
        at = _end_of_user_info(rest)
        if at is None:
            return cls(scheme, None, rest, text)
        user, colon, password = rest[:at].partition(":")
        return cls(scheme, _encode(user) + colon + _encode(password), rest[at + 1 :], text)

    def reveal(self) -> str:
        """The whole address for the one who opens it. Never log it."""
        if not self.scheme:
            return self.location
        return (
            f"{self.scheme}://{self.user_info}@{self.location}"
            if self.user_info
            else f"{self.scheme}://{self.location}"
        )

    @property
    def is_mistyped(self) -> bool:
        """True for what is no existing file, but looks like an address without a clean scheme:// in front."""
        if self.scheme or not (self._may_hold_secrets or _LIKE_AN_ADDRESS.match(self.location)):
            return False
        return not self._is_there

    @property
    def _may_hold_secrets(self) -> bool:
        """True for a "file" that holds what belongs into an address."""
        path = self.location
        has_user = "@" in path and not _PLAIN_PATH.fullmatch(path)
        return has_user or "://" in path or bool(_NAMED_SECRET.search(path))

    @property
    def _is_there(self) -> bool:
        return os.path.exists(os.path.expanduser(self.location))

    @property
    def host(self) -> str:
        """Host without port; "" for a file."""
        match = _HOST.match(self.location) if self.scheme else None
        return match[1].strip("[]") if match else ""

    def secrets(self) -> tuple[str, ...]:
        """Every spelling of what must not be shown, longest first; for `redact`."""
        found = set()
        if self.is_mistyped:
            found |= {self.typed, self.location, self.location.rpartition("@")[0]}
        if self.scheme:
            found |= {self.typed, self.reveal()} if self.user_info or _NAMED_SECRET.search(self.location) else set()
            password = (self.user_info or "").partition(":")[2]
            found |= {self.user_info or "", password, unquote(password), unquote(self.user_info or "")}
        if self.scheme or self.is_mistyped:
            for match in _NAMED_SECRET.finditer(self.location):
                found |= {match[2], unquote(match[2])}
        return tuple(sorted(found - {""}, key=lambda secret: (-len(secret), secret)))

    def __str__(self) -> str:
        if not self.scheme:
            return self._shown_path()
        location = _hide_in(self.location)
        authority = re.split(r"[/?#]", location, maxsplit=1)[0]
        unclear = not _is_clear_host(authority) and (self.user_info is not None or ":" in authority or not authority)
        if unclear and "@" in location:  # could be user:a@b/c@host or user:1/2@host: rather hide too much
            return f"{self.scheme}://{HIDDEN}@{location.rpartition('@')[2]}"
        if ":" in authority and not _HOST.fullmatch(authority.removesuffix(":")):  # a password; the @ was forgotten
            location = HIDDEN + location.removeprefix(authority)
        return f"{self.scheme}://{HIDDEN}@{location}" if self.user_info else f"{self.scheme}://{location}"

    def _shown_path(self) -> str:
        """A file's path as it is; of a mistyped address, what is before the last @ is hidden."""
        if not self.is_mistyped:
            return self.location
        _, at, rest = self.location.rpartition("@")
        if at:
            return f"{HIDDEN}@{_hide_in(rest)}"
        match = _LIKE_AN_ADDRESS.match(self.location)
        begin = match[0] if match else ""
        as_url = SecretUrl("rtsp", None, self.location.removeprefix(begin), self.typed)
        return begin + str(as_url).removeprefix("rtsp://")

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from_text = core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema(min_length=1))
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), from_text], mode="left_to_right"
            ),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "minLength": 1, "title": "Camera address"}


def redact(text: str, *secrets: SecretUrl | str) -> str:
    """`text` without the given secrets (raw and percent-encoded) and without user info in any URL it holds.

    Secrets of one or two letters are only hidden inside URLs: they are in every word.
    """
    for secret in secrets:
        if isinstance(secret, SecretUrl):
            text = text.replace(secret.reveal(), str(secret)).replace(secret.typed, str(secret))
    values = {
        value for secret in secrets for value in (secret.secrets() if isinstance(secret, SecretUrl) else (secret,))
    }
    values |= {quote(value, safe="") for value in values} | {
        written for value in values for written in _as_python_writes(value)
    }
    for value in sorted(values, key=len, reverse=True):
        if len(value) > 2:
            text = text.replace(value, HIDDEN)
    return _hide_in_urls(text)


def _as_python_writes(value: str) -> tuple[str, ...]:
    """In a traceback, alone or as a part of a longer text, which decides how quotes are written."""
    plain = repr(f'{value}"')[1:-2].replace("\\'", "'")
    return plain, plain.replace("'", "\\'")


def _hide_in(text: str) -> str:
    """Without the user info of URLs inside it, and the values that names like password= give away."""
    return _NAMED_SECRET.sub(rf"\1{HIDDEN}", _hide_in_urls(text))


def _hide_in_urls(text: str) -> str:
    return _URL_IN_TEXT.sub(lambda match: str(SecretUrl.parse(match[0])), text)


def _end_of_user_info(rest: str) -> int | None:
    """Where the @ before the host is, or None. `rest` follows scheme://. Unclear cases go to the clearer host."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    in_authority = authority.rfind("@")
    if _is_clear_host(authority[in_authority + 1 :]):
        return in_authority if in_authority >= 0 else None
    for at in sorted((match.start() for match in re.finditer("@", rest)), reverse=True):
        if _is_clear_host(re.split(r"[/?#]", rest[at + 1 :], maxsplit=1)[0]) and _may_be_user_info(rest[:at]):
            return at
    if in_authority >= 0:
        return in_authority
    if _HOST.fullmatch(authority):
        return None
    at = rest.rfind("@")
    return at if at >= 0 and _may_be_user_info(rest[:at]) else None


def _is_clear_host(text: str) -> bool:
    """True for an IP address, localhost or a dotted name, with or without port."""
    match = _HOST.fullmatch(text)
    if match is None:
        return False
    name = match[1]
    return name.startswith("[") or name == "localhost" or bool(re.fullmatch(r"(\d+\.){3}\d+|.+\.[A-Za-z][\w-]*", name))


def _may_be_user_info(text: str) -> bool:
    before_slash = re.split(r"[/?#]", text, maxsplit=1)[0]
    password_start = before_slash.partition(":")[2]
    return before_slash == text or (":" in before_slash and not password_start.isdigit())


def _encode(text: str) -> str:
    """Percent-encodes what a URL cannot hold; what is encoded already stays."""
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text), safe="%!$'()*,-._~")
