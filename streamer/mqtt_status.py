"""What the agent tells over MQTT without being asked: how its cameras are, a picture of each, and what it has done."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from streamer.homeassistant import camera_of, device_config, device_topic, is_ours
from streamer.mqtt_answers import as_payload
from streamer.mqtt_outbox import Outbox
from streamer.mqtt_settings import MqttSettings
from streamer.mqtt_topics import Topics
from streamer.state import CameraStatus

if TYPE_CHECKING:
    from streamer.agent import Agent

LOOK_SECONDS = 0.5


class Status:
    """Looks at the cameras every `LOOK_SECONDS`, and tells what has changed."""

    def __init__(
        self,
        settings: MqttSettings,
        topics: Topics,
        outbox: Outbox,
        agent: Agent,
        *,
        counts: Callable[[], dict[str, int]],
    ) -> None:
        self._settings, self._topics, self._outbox, self._agent = settings, topics, outbox, agent
        self._counts = counts
        self._began_seconds = time.monotonic()

    async def tell_for_ever(self) -> None:
        self._discover()
        stats_at = snapshots_at = self._began_seconds
        has_picture = False
        while True:
            now = time.monotonic()
            for camera in self._agent.cameras:
                status = told_status(camera.state.status).encode()
                self._outbox.retain(self._topics.status(camera.name), status)
            if self._settings.snapshot_seconds and (now >= snapshots_at or not has_picture):
                snapshots_at, has_picture = now + self._settings.snapshot_seconds, await self._tell_pictures()
            if self._settings.stats_seconds and now >= stats_at and self._outbox.is_open:
                stats_at = now + self._settings.stats_seconds
                self._outbox.publish_now(self._topics.stats, as_payload(self._stats()))
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell_pictures(self) -> bool:
        """True where every camera that is watched has one."""
        has_all = True
        for index, camera in enumerate(self._agent.cameras):
            picture = await self._agent.newest_picture(index)
            if picture:
                self._outbox.retain(self._topics.snapshot(camera.name), picture)
            has_all &= bool(picture) or camera.state.status in ("disabled", "ended", "offline")
        return has_all

    def _discover(self) -> None:
        """Every camera to Home Assistant; told anew at each connection."""
        settings = self._settings
        if not settings.discovery:
            return
        for camera in self._agent.cameras:
            config = device_config(
                camera.name,
                topic_prefix=settings.topic_prefix,
                version=version("longwatch"),
                rules=camera.settings.rules,
            )
            topic = device_topic(settings.discovery_prefix, settings.topic_prefix, camera.name)
            self._outbox.retain(topic, json.dumps(config).encode())

    def _stats(self) -> dict[str, Any]:
        return {
            "time_seconds": round(time.time(), 3),
            "uptime_seconds": round(time.monotonic() - self._began_seconds, 1),
            "model": self._agent.model_name,
            "memory_bytes": self._agent.memory.nbytes,
            "cameras": {camera.name: self._camera(index) for index, camera in enumerate(self._agent.cameras)},
            "mqtt": self._counts(),
        }

    def _camera(self, index: int) -> dict[str, Any]:
        report = self._agent.report(index)
        age_seconds = report.frame_age_seconds
        return {
            "status": report.state.status,
            "fps": round(report.fps, 2),
            "frame_age_seconds": None if age_seconds is None else round(age_seconds, 2),
            "num_seen": report.num_seen,
            "num_encoded": report.num_encoded,
            "num_unchanged": report.num_unchanged,
            "num_dropped": report.num_dropped,
            "num_reconnects": report.num_reconnects,
            "ring_slots": report.fill.ring_slots,
            "long_term_slots": report.fill.long_term_slots,
        }


def told_status(status: CameraStatus) -> str:
    """One of the three words that others expect of a camera."""
    return {"live": "online", "disabled": "disabled"}.get(status, "offline")


def forgotten_camera(payload: bytes, *, prefix: str, names: Collection[str]) -> str | None:
    """The camera of a discovery message that this agent, or one before it, sent, and that it does not have any more."""
    if not is_ours(payload, topic_prefix=prefix):
        return None
    camera = camera_of(payload)
    return camera if camera is not None and camera not in names else None
