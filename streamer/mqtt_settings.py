"""Settings of MQTT: the broker, who may be answered where, and Frigate beside us. It knows no client."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from streamer.settings_base import CameraName, Strict

MqttTopic = Annotated[str, Field(pattern=r"^[^#+$/\s]([^#+\s]*[^#+/\s])?$", max_length=200)]


class FrigateSettings(Strict):
    """When Frigate, beside Longwatch on the same broker, has seen something: ask about that camera and time.

    topic       frigate/reviews or frigate/events
    question    {label}, {zones} and {camera} are what Frigate says; without labels or zones they are "something" and
                "the picture"
    types       of what Frigate sends of one event: new, update, end
    labels      only these; severities: of a review, only these
    cameras     Frigate's name of a camera, where ours is another
    """

    topic: MqttTopic = "frigate/reviews"
    question: Annotated[str, Field(min_length=1, max_length=400)] = "What did the {label} do?"
    types: Annotated[tuple[Literal["new", "update", "end"], ...], Field(min_length=1)] = ("end",)
    labels: tuple[str, ...] = ()
    severities: tuple[Literal["alert", "detection"], ...] = ()
    cameras: dict[str, CameraName] = Field(default_factory=dict)

    @field_validator("question")
    @classmethod
    def _has_known_fields(cls, question: str) -> str:
        unknown = set(re.findall(r"{([^{}]*)}", question)) - {"label", "zones", "camera"}
        if unknown:
            raise ValueError(
                f"{{{unknown.pop()}}} is not known; what can stand in a question: {{label}}, {{zones}}, {{camera}}"
            )
        return question


class MqttSettings(Strict):
    """The broker questions come from and answers go to.

    tls                  also without tls_ca_certs: the broker's certificate is one that this machine trusts
    tls_insecure         encrypted, but it is not checked who answers
    reply_prefixes       where answers may be sent to, beside topics under `topic_prefix`
    questions_per_minute on each topic; one more is told that we are busy
    stats_seconds        how often counters are told; 0: never
    snapshot_seconds     how often pictures are, beside those of answers; 0: no picture leaves
    discovery            Home Assistant finds the cameras by itself
    """

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    user: str | None = None
    password: SecretStr | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    topic_prefix: MqttTopic = "longwatch"
    tls: bool = False
    tls_ca_certs: Path | None = None
    tls_client_cert: Path | None = None
    tls_client_key: Path | None = None
    tls_insecure: bool = False
    reply_prefixes: tuple[Annotated[str, Field(pattern=r"^[^#+$\s][^#+\s]*$")], ...] = ("reply/",)
    questions_per_minute: Annotated[int, Field(ge=1)] = 60
    stats_seconds: Annotated[float, Field(ge=0)] = 60.0
    snapshot_seconds: Annotated[float, Field(ge=0)] = 60.0
    discovery: bool = True
    discovery_prefix: MqttTopic = "homeassistant"
    frigate: FrigateSettings | None = None

    @model_validator(mode="after")
    def _whole_credentials(self) -> "MqttSettings":
        if self.password is not None and self.user is None:
            raise ValueError("there is a password and no user; add user:")
        if self.tls_client_key is not None and self.tls_client_cert is None:
            raise ValueError("there is tls_client_key and no tls_client_cert; add it")
        return self

    @property
    def has_tls(self) -> bool:
        return self.tls or self.tls_insecure or self.tls_ca_certs is not None or self.tls_client_cert is not None
