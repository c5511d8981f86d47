"""The address of a remote model, `openai:URL#NAME`, and the key that is never shown; it sends nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from llm.errors import ModelLoadError

SCHEME = "openai:"
KEY_VARIABLE = "LONGWATCH_MODEL_KEY"
"""Not OPENAI_API_KEY: whoever has that one set did not mean it for every address that is tried."""
HIDDEN = "***"
_EXAMPLE = "openai:http://HOST:8000/v1#MODEL"


@dataclass(frozen=True)
class Endpoint:
    """Where a model is served and what it is called there; `str()` and `repr()` hide the key and the query.

    base_url  without key, query and fragment
    key       "" where none was given
    """

    base_url: str
    model: str
    key: str = field(default="", repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str, *, environ: Mapping[str, str] = os.environ) -> Endpoint:
        """The key is the URL's user info (of `user:password` the password) or the variable `KEY_VARIABLE`.

        Raises: ModelLoadError, which shows nothing that might be a key.
        """
        address, _, model = text.removeprefix(SCHEME).rpartition("#")
        if not address or not model:
            raise ModelLoadError(f"a remote model is named after a #, like {_EXAMPLE}")
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            raise ModelLoadError(f"the address of the remote model cannot be read; expected like {_EXAMPLE}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ModelLoadError(f"a remote model has an http:// or https:// address, like {_EXAMPLE}")
        if "#" in address or "@" in parts.path:
            raise ModelLoadError(
                "the key in the address of the remote model has to be percent-encoded: # is %23, / %2F"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        authority = host if port is None else f"{host}:{port}"
        return cls(
            base_url=f"{parts.scheme}://{authority}{parts.path.rstrip('/') or '/v1'}",
            model=model,
            key=unquote(parts.password or parts.username or "") or environ.get(KEY_VARIABLE, ""),
            query=dict(parse_qsl(parts.query)),
        )

    def __str__(self) -> str:
        return f"{SCHEME}{self.base_url}#{self.model}"

    def redact(self, text: str) -> str:
        """`text` of a server or a library in one printable line, without the key and what stood in the query."""
        secrets = {self.key, *self.query.values()}
        for secret in sorted(secrets | {quote(one, safe="") for one in secrets}, key=len, reverse=True):
            text = text.replace(secret, HIDDEN) if secret else text
        return " ".join("".join(char if char.isprintable() else " " for char in text).split())
