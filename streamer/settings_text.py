"""Between a settings file's text and its checked values: YAML, ${VARIABLES}, and errors in a person's words.

Knows the shape of pydantic models, but no key of ours except those that this version has not built yet.
"""

import difflib
import os
import re
import types
import typing
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from streamer.errors import SettingsError
from streamer.secret import redact

__all__ = ["describe", "parse_yaml", "refuse_not_built", "substitute"]

_NOT_BUILT = ("summaries", "web")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}")
_USER_INFO_BEFORE = re.compile(r"(?:openai:)?[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]*")
_USER_INFO_AFTER = re.compile(r"[^/?#\s]*@")
_SECRET_KEYS = ("url", "password", "token")


def parse_yaml(text: str, *, where: str) -> object:
    """Raises: SettingsError with the line."""
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise SettingsError(f"{where}:{line} not valid YAML ({error.problem}); check indentation and quotes") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{where}: not valid YAML ({type(error).__name__}); check it for odd characters") from None


def substitute(value: object, *, where: str, path: str = "", environ: Mapping[str, str] = os.environ) -> object:
    """`value` with ${VAR} and ${VAR:default} in its texts replaced from the environment.

    A variable in the user and password of a URL stands for the password as it is: it is percent-encoded here.

    Raises: SettingsError for a variable that is not set and has no default.
    """
    if isinstance(value, dict):
        return {
            key: substitute(item, where=where, path=_join(path, key), environ=environ) for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            substitute(item, where=where, path=_join(path, index), environ=environ) for index, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    text = value

    def replacement(match: re.Match[str]) -> str:
        found = environ.get(match[1], match[2])
        if found is None:
            raise SettingsError(
                f"{where}: {path}: the environment variable {match[1]} is not set; "
                f"set it, or write ${{{match[1]}:DEFAULT}}"
            )
        in_user_info = _USER_INFO_BEFORE.fullmatch(text[: match.start()]) and _USER_INFO_AFTER.match(
            text[match.end() :]
        )
        return quote(found, safe="") if in_user_info else found

    return _VARIABLE.sub(replacement, text)


def refuse_not_built(data: Mapping[str, Any], *, where: str) -> None:
    """Raises: SettingsError naming every key that a later version will know."""
    found = [key for key in _NOT_BUILT if data.get(key) is not None]
    cameras = data.get("cameras")
    if isinstance(cameras, dict):
        found += [
            f"cameras.{name}.rules"
            for name, camera in cameras.items()
            if isinstance(camera, dict) and camera.get("rules")
        ]
    if found:
        are = "is" if len(found) == 1 else "are"
        raise SettingsError(
            f"{where}: {', '.join(found)} {are} not built yet in this version; remove {'it' if are == 'is' else 'them'}"
        )


_INTERNAL = ("[key]", "function-", "is-instance[")


def describe(error: ValidationError, model: type[BaseModel], *, where: str) -> str:
    """One line per problem: where, key, what was expected, what was received (never a secret)."""
    problems = [
        details
        for details in error.errors(include_url=False)
        if details["type"] != "is_instance_of" and details["loc"][-2:] != (details["input"], "name")  # told of its key
    ]
    lines = [f"{where}: {_describe_one(details, model)}" for details in problems]
    return "\n".join(dict.fromkeys(lines))


def _describe_one(details: ErrorDetails, model: type[BaseModel]) -> str:
    location = tuple(part for part in details["loc"] if not str(part).startswith(_INTERNAL))
    path = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in location).lstrip(".") or "file"
    path = redact(path)  # an address in a key's place
    kind, message, received = details["type"], details["msg"], details["input"]
    if kind == "extra_forbidden":
        return f"{path}: unknown key; {_known_keys(location, model)}"
    if kind == "missing":
        return f"{path}: this key is missing"
    if kind == "string_pattern_mismatch" and "[key]" in details["loc"]:
        return f"{path}: a name is made of a-z, 0-9, _ and -, at most 64 of them"
    if kind in ("value_error", "assertion_error"):
        return f"{path}: {message.removeprefix('Value error, ')}"
    if kind == "model_type":
        message = "expected a mapping of keys"
    message = re.sub(r"^(Input|Value|String|Tuple|Dictionary|List) should", "expected it to", message)
    return f"{path}: {message}, received {_show(received, location)}"


def _show(value: object, location: tuple[int | str, ...]) -> str:
    """What was received, short; secrets only by their kind."""
    if isinstance(value, dict | list | tuple):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    if any(part in _SECRET_KEYS for part in location):
        return "nothing" if value in (None, "") else f"a {type(value).__name__} (not shown)"
    shown = redact(str(value))
    return "nothing" if value is None else repr(shown if len(shown) <= 60 else shown[:60] + "...")


def _known_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """The keys that are known where the unknown one stands, and the nearest of them."""
    here: Any = model
    for part in location[:-1]:
        here = _step(here, part)
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return "remove it"
    known = [name for name in here.model_fields if name != "name"]
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _step(annotation: Any, part: int | str) -> Any:
    """The type behind one step of a key path, as far as it can be told; None beyond."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            annotation = next((arg for arg in typing.get_args(annotation) if arg is not type(None)), None)
        return annotation
    if typing.get_origin(annotation) is dict:
        return typing.get_args(annotation)[1]
    return None


def _join(path: str, part: object) -> str:
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else str(part)
