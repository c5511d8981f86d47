"""Settings: the whole configuration as checked values; knows how to read and judge it, not how to carry it out."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from streamer.errors import SettingsError
from streamer.mqtt_settings import FrigateSettings, MqttSettings
from streamer.secret import SecretUrl
from streamer.settings_base import CameraName, Strict
from streamer.settings_text import describe, parse_yaml, refuse_not_built, substitute

__all__ = [
    "SCHEMES",
    "ArchiveSettings",
    "BudgetSettings",
    "CameraKind",
    "CameraSettings",
    "Decode",
    "FrigateSettings",
    "Isolation",
    "MqttSettings",
    "Quantize",
    "Settings",
    "SummarySettings",
    "Transport",
    "WebSettings",
    "load_settings",
    "settings_from_sources",
]

SCHEMES = "rtsp://, rtsps://, http://, https://, a file's path, /dev/videoN or demo://yard"

CameraKind = Literal["rtsp", "http", "file", "device", "demo"]
Transport = Literal["auto", "tcp", "udp"]
Decode = Literal["auto", "cpu", "cuda", "vaapi", "qsv", "videotoolbox"]
Isolation = Literal["auto", "thread", "process"]
Quantize = Literal["8bit", "4bit"]
_KINDS: dict[str, CameraKind] = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http", "demo": "demo"}

Fraction = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Fraction, Fraction]
Mask = Annotated[tuple[Point, ...], Field(min_length=3)]


def _epoch(value: object) -> object:
    """A date and time (local where no zone is given) as epoch seconds; other values as they are."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    return value.timestamp() if isinstance(value, datetime) else value


class CameraSettings(Strict):
    """One camera.

    enabled       false: known by name, but neither opened nor watched
    transport     rtsp:// only; auto: TCP, and UDP where the camera refuses TCP
    decode        auto: hardware where the machine has it, else the CPU
    isolation     thread: reads in a thread; process: in a child process, which can be killed; auto: in a thread, and
                  in a process once two threads hung
    verify_tls    rtsps:// and https://: false (as most cameras sign their own certificate) encrypts, but does not check
                  who answers
    skip_still    an unchanged scene costs almost nothing: it lengthens the newest memory, but is not encoded again
    keep_days     how long the archive keeps it, where that is not as long as the others
    speed, start  for files: a ceiling on the pace, and when the recording was made
    """

    name: CameraName
    url: SecretUrl
    enabled: bool = True
    fps: Annotated[float, Field(gt=0, le=60)] = 2.0
    masks: tuple[Mask, ...] = ()
    rules: dict[CameraName, Annotated[str, Field(min_length=1, max_length=500)]] = Field(default_factory=dict)
    transport: Transport = "auto"
    decode: Decode = "auto"
    isolation: Isolation = "auto"
    verify_tls: bool = False
    skip_still: bool = True
    keep_days: Annotated[float, Field(gt=0)] | None = None
    speed: Annotated[float, Field(gt=0)] | None = None
    start: Annotated[float, BeforeValidator(_epoch), Field(ge=0)] | None = None

    @field_validator("url")
    @classmethod
    def _can_be_opened(cls, url: SecretUrl) -> SecretUrl:
        if url.is_mistyped:
            raise ValueError(f"{url} is no file; is rtsp:// missing in front, or does something stand before it?")
        if url.scheme and url.scheme not in _KINDS:
            raise ValueError(f"cannot open {url.scheme}://; what works: {SCHEMES}")
        if url.scheme and not url.host:
            raise ValueError(f"{url} has no host; expected like {url.scheme}://HOST/PATH")
        return url

    @model_validator(mode="after")
    def _paced_keys(self) -> "CameraSettings":
        for key in ("speed", "start"):
            if getattr(self, key) is not None and self.kind != "file":
                hint = "; put speed into its URL: demo://yard?speed=2" if self.kind == "demo" and key == "speed" else ""
                raise ValueError(f"{key} is for files, and {self.url} is none{hint}")
        return self

    @model_validator(mode="after")
    def _keys_of_the_network(self) -> "CameraSettings":
        if self.transport != "auto" and self.kind != "rtsp":
            raise ValueError(f"transport is for rtsp:// cameras, and {self.url} is none; remove it")
        if self.verify_tls and self.url.scheme not in ("rtsps", "https"):
            raise ValueError(f"verify_tls is for rtsps:// and https://, and {self.url} is neither; remove it")
        return self

    @property
    def kind(self) -> CameraKind:
        """What opens it."""
        if self.url.scheme:
            return _KINDS[self.url.scheme]
        return "device" if re.match(r"/dev/video", self.url.location) else "file"

    @property
    def live(self) -> bool:
        """True if it should run on the wall clock; what the opened source says counts more."""
        if self.kind == "demo":
            speed = parse_qs(urlsplit(self.url.reveal()).query).get("speed", ["1"])[-1]
            return bool(re.fullmatch(r"0*1(\.0*)?", speed))
        return self.kind != "file"

    @property
    def start_seconds(self) -> float | None:
        """UTC epoch of a file's first frame; None: now."""
        return self.start


class ArchiveSettings(Strict):
    """Where moments are kept on disk, for how long, and how much of all cameras and of each; `path` is a folder."""

    path: Path = Path("~/.local/share/longwatch")
    keep_days: Annotated[float, Field(gt=0)] = 30.0
    keep_gigabytes: Annotated[float, Field(ge=0.1)] = 20.0
    keep_gigabytes_per_camera: Annotated[float, Field(gt=0)] | None = None


class SummarySettings(Strict):
    """Which digests are made; `day` is a local time."""

    minute: bool = True
    hour: bool = True
    day: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = "21:00"


class WebSettings(Strict):
    """The HTTP API and the page."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    token: SecretStr | None = None


class BudgetSettings(Strict):
    """What a remote model may cost within any hour; notes get at most half of it."""

    calls_per_hour: Annotated[int, Field(ge=1)] = 120
    tokens_per_hour: Annotated[int, Field(ge=1)] = 200_000


class PatienceSettings(Strict):
    """How long a remote model is waited for: from the question to its first word, and from that to its last."""

    first_word_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    answer_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0


class Settings(Strict):
    """The whole configuration. What this version has not built yet is None and refused by name when set.

    model           "bundled", "auto", a folder with a checkpoint, OWNER/NAME[@REVISION], or openai:URL#NAME
    model_budget    what a remote model may cost
    model_patience  how long one is waited for
    quantize        the language model's weights in fewer bits; for NVIDIA GPUs, with bitsandbytes
    """

    model: Annotated[str, Field(min_length=1, repr=False)] = "bundled"
    model_budget: BudgetSettings = BudgetSettings()
    model_patience: PatienceSettings = PatienceSettings()
    quantize: Quantize | None = None
    cameras: Annotated[dict[CameraName, CameraSettings], Field(min_length=1)]
    mqtt: MqttSettings | None = None
    archive: ArchiveSettings | None = None
    summaries: SummarySettings | None = None
    web: WebSettings | None = None

    @field_validator("cameras", mode="before")
    @classmethod
    def _name_cameras(cls, cameras: object) -> object:
        """The short form `front: URL` becomes a mapping; every mapping learns its name."""
        if not isinstance(cameras, dict):
            return cameras
        named: dict[object, object] = {}
        for name, camera in cameras.items():
            if isinstance(camera, str | SecretUrl):
                named[name] = {"name": name, "url": camera}
            elif isinstance(camera, dict) and camera.get("name", name) == name:
                named[name] = {**camera, "name": name}
            else:
                named[name] = camera
        return named

    @model_validator(mode="after")
    def _keys_of_the_archive(self) -> "Settings":
        for name, camera in self.cameras.items():
            if camera.keep_days is not None and self.archive is None:
                raise ValueError(
                    f"keep_days of {name} is for the archive, and there is none; add archive: or remove it"
                )
        return self

    @property
    def model_name(self) -> str:
        """`model`; for "auto", where all cameras are the built-in yard, the bundled one, which knows it."""
        is_yard = all(camera.kind == "demo" for camera in self.cameras.values())
        return "bundled" if self.model == "auto" and is_yard else self.model

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON schema of the YAML file, for editors."""
        schema = cls.model_json_schema()
        camera = schema["$defs"]["CameraSettings"]
        del camera["properties"]["name"]
        camera["required"] = ["url"]
        names = schema["properties"]["cameras"]
        names["additionalProperties"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/CameraSettings"}]}
        return schema


def load_settings(path: Path) -> Settings:
    """Reads a YAML file.

    Raises: SettingsError, one line per problem: file, key, what was expected and what was found.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: there is no such file; check the path given to --config") from error
    except IsADirectoryError as error:
        raise SettingsError(f"{path}: this is a folder; give the YAML file in it to --config") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{path}: cannot be read ({reason})") from error
    data = substitute(parse_yaml(text, where=str(path)), where=str(path))
    if not isinstance(data, dict) or not data:
        raise SettingsError(
            f"{path}: expected a mapping with the key cameras, like cameras: {{front: rtsp://192.0.2.10/stream1}}"
        )
    refuse_not_built(data, where=str(path))
    return _validate(data, where=str(path))


def settings_from_sources(sources: Sequence[str], model: str = "bundled") -> Settings:
    """Settings of the command line: the cameras are camera1, camera2 ...

    Raises: SettingsError.
    """
    if not sources:
        raise SettingsError(f"no camera was given; a camera is {SCHEMES}")
    cameras = {f"camera{number}": {"url": source} for number, source in enumerate(sources, start=1)}
    return _validate({"model": model, "cameras": cameras}, where="command line")


def _validate(data: dict[str, Any], *, where: str) -> Settings:
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise SettingsError(describe(error, Settings, where=where)) from error
