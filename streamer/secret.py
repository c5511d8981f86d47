"""A camera's address that cannot be shown by accident, and a filter for foreign texts; knows no camera."""

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
    r"((?:user(?:name)?|usr|login|pass(?:word|wd)?|pwd|token|secret|auth|(?:api_?|access_?)?key)=)([^&;?#\s'\"]*)",
    re.IGNORECASE,
)


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
    def host(self) -> str:
        """Host without port; "" for a file."""
        match = _HOST.match(self.location) if self.scheme else None
        return match[1].strip("[]") if match else ""

    def secrets(self) -> tuple[str, ...]:
        """Every spelling of what must not be shown, longest first; for `redact`."""
        found = set()
        if self.scheme:
            found |= {self.typed, self.reveal()} if self.user_info or _NAMED_SECRET.search(self.location) else set()
            password = (self.user_info or "").partition(":")[2]
            found |= {self.user_info or "", password, unquote(password), unquote(self.user_info or "")}
            for match in _NAMED_SECRET.finditer(self.location):
                found |= {match[2], unquote(match[2])}
        return tuple(sorted(found - {""}, key=lambda secret: (-len(secret), secret)))

    def __str__(self) -> str:
        if not self.scheme:
            return self.location
        location = _NAMED_SECRET.sub(rf"\1{HIDDEN}", self.location)
        authority = re.split(r"[/?#]", location, maxsplit=1)[0]
        unclear = not _is_clear_host(authority) and (self.user_info is not None or ":" in authority)
        if unclear and "@" in location:  # could be user:a@b/c@host or user:1/2@host: rather hide too much
            return f"{self.scheme}://{HIDDEN}@{location.rpartition('@')[2]}"
        return f"{self.scheme}://{HIDDEN}@{location}" if self.user_info else f"{self.scheme}://{location}"

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
    values |= {quote(value, safe="") for value in values}
    for value in sorted(values, key=len, reverse=True):
        if len(value) > 2:
            text = text.replace(value, HIDDEN)
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
