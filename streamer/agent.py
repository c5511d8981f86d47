"""The composition root: cameras, memory and model become one running agent, and are taken down in reverse."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from llm.base import LanguageModel, Remote, Usage
from llm.budget import Limits
from llm.endpoint import SCHEME
from llm.errors import ModelLoadError
from memory import Memory, MemoryFill
from streamer.answer import ANSWER_TOKENS
from streamer.archiving import Archiving
from streamer.asked import Asked
from streamer.backoff import Backoff
from streamer.capture import Camera, CameraState
from streamer.device import DeviceThread, Priority
from streamer.errors import ModelError, QuestionError
from streamer.local_server import serve
from streamer.model_memory import kind_of, memory_of
from streamer.perceive import Perceive
from streamer.questions import Questions
from streamer.remember import Remember
from streamer.secret import redact
from streamer.settings import BudgetSettings, PatienceSettings, Quantize, Settings
from streamer.times import Span

if TYPE_CHECKING:
    from llm.fetching import Bar

log = logging.getLogger(__name__)

REMOTE_PAUSES = partial(Backoff, first_seconds=0.5, cap_seconds=30.0)
"""Between two tries to reach a remote model."""


@dataclass(frozen=True)
class CameraReport:
    """What a status line shows of one camera."""

    name: str
    state: CameraState
    fps: float
    frame_age_seconds: float | None
    num_seen: int
    num_encoded: int
    num_unchanged: int
    """Pictures that showed nothing new: memory counts them, but they were not encoded."""
    num_dropped: int
    num_reconnects: int
    num_abandoned: int
    fill: MemoryFill


class Agent:
    """A running agent; made by `run_agent`."""

    def __init__(
        self,
        cameras: Sequence[Camera],
        *,
        memory: Memory,
        perceive: Perceive,
        remember: Remember,
        questions: Questions,
        model: LanguageModel,
        device: DeviceThread,
    ) -> None:
        self.cameras = cameras
        self.model_name = model.name
        self.memory = memory
        self.remember = remember
        self._perceive = perceive
        self._questions = questions
        self._device = device
        self._remote = model if isinstance(model, Remote) else None

    @property
    def usage(self) -> Usage | None:
        """What a remote model has cost by now; None of one that runs here."""
        return None if self._remote is None else self._remote.usage

    def ask(
        self, camera: int, question: str, *, span: Span | None = None, max_new_tokens: int = ANSWER_TOKENS
    ) -> Asked:
        """Put a question about a camera, now or of the archive's `span`. Raises: QuestionError and its kinds."""
        return self._questions.ask(camera, question, span=span, max_new_tokens=max_new_tokens)

    def ask_by_name(
        self, name: str, question: str, span: Span | None = None, max_new_tokens: int = ANSWER_TOKENS
    ) -> Asked:
        """The same of a camera by its name. Raises: QuestionError and its kinds, at once."""
        names = [camera.name for camera in self.cameras]
        if name not in names:
            raise QuestionError(f"there is no camera {name!r}; the agent watches {', '.join(names)}")
        return self.ask(names.index(name), question, span=span, max_new_tokens=max_new_tokens)

    async def newest_picture(self, camera: int) -> bytes:
        """The JPEG of a camera's newest slot, masks applied; b"" before there is one."""
        return await self._device.run(Priority.NOTE, lambda: self.memory.newest_picture(camera))

    def is_over(self, camera: int) -> bool:
        """True once a finite source has ended and its last frame is in memory."""
        watched = self.cameras[camera]
        return watched.ended.is_set() and watched.num_taken == self._perceive.num_remembered[camera]

    def report(self, camera: int) -> CameraReport:
        watched = self.cameras[camera]
        newest = watched.newest_frame_seconds
        return CameraReport(
            name=watched.name,
            state=watched.state,
            fps=watched.fps,
            frame_age_seconds=None if newest is None else max(0.0, watched.now_seconds() - newest),
            num_seen=watched.num_seen,
            num_encoded=self._perceive.num_encoded[camera],
            num_unchanged=self._perceive.num_unchanged[camera],
            num_dropped=watched.num_dropped,
            num_reconnects=watched.num_reconnects,
            num_abandoned=watched.num_abandoned,
            fill=self.memory.fill(camera),
        )

    async def wait_for_frame(self, camera: int, *, timeout_seconds: float) -> bool:
        """Until a frame is in memory; False when the time is up or the camera ended without one."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not self._perceive.num_encoded[camera]:
                    if self.is_over(camera):
                        return False
                    await self._next_push(camera)
        except TimeoutError:
            return False
        return True

    async def wait_until(self, camera: int, camera_seconds: float) -> None:
        """Until the camera's own clock shows `camera_seconds`, or a finite source is over.

        A paced camera's clock is the newest frame in memory.
        """
        watched = self.cameras[camera]
        while not self.is_over(camera):
            newest_seconds = watched.now_seconds() if watched.live else self._perceive.newest_seconds[camera]
            left_seconds = camera_seconds - (newest_seconds or -math.inf)
            if left_seconds <= 0:
                return
            if watched.live:
                await asyncio.sleep(min(left_seconds, 0.5))
            else:
                await self._next_push(camera)

    async def _next_push(self, camera: int) -> None:
        """Until the camera's next frame is in memory, looking up now and then for its end."""
        pushed = self._perceive.pushed[camera]
        pushed.clear()
        try:
            async with asyncio.timeout(0.2):
                await pushed.wait()
        except TimeoutError:
            return


@asynccontextmanager
async def run_agent(settings: Settings, model: LanguageModel) -> AsyncIterator[Agent]:
    """`async with run_agent(settings, model) as agent:` watches until left, then closes everything in reverse.

    Order: device thread, archive, cameras, then the named tasks. Raises what a task raises, in an ExceptionGroup.
    """
    arrived = asyncio.Event()
    memory = memory_of(model, num_cameras=len(settings.cameras))
    async with (
        DeviceThread() as device,
        _archiving(settings, model, memory, device) as archiving,
        _all_cameras(settings, arrived) as cameras,
    ):
        perceive = Perceive(cameras, arrived=arrived, device=device, encoder=model.encoder, memory=memory)
        remember = Remember(
            cameras,
            arrived=arrived,
            due=perceive.due,
            device=device,
            model=model,
            memory=memory,
            archiving=archiving,
        )
        questions = Questions(
            cameras,
            device=device,
            model=model,
            memory=memory,
            num_encoded=perceive.num_encoded,
            archive=None if settings.archive is None else settings.archive.path.expanduser(),
        )
        jobs = {
            "perceive": perceive.run(),
            "consolidate": remember.consolidate_for_ever(),
            "notes": remember.write_notes_for_ever(),
            "questions": questions.run(),
        }
        if isinstance(model, Remote):
            jobs["remote model"] = model.keep_connected()
        if archiving is not None:
            jobs["archive"] = archiving.run()
        agent = Agent(
            cameras,
            memory=memory,
            perceive=perceive,
            remember=remember,
            questions=questions,
            model=model,
            device=device,
        )
        if settings.mqtt is not None:
            from streamer.mqtt import Mqtt

            jobs["mqtt"] = Mqtt(settings.mqtt, agent, has_archive=settings.archive is not None).run()
        if settings.archive is not None:
            jobs["local server"] = serve(settings.archive.path.expanduser(), agent.ask_by_name)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(job, name=name) for name, job in jobs.items()]
                try:
                    yield agent
                finally:
                    for task in tasks:
                        task.cancel()
        finally:
            await remember.consolidate_rest()


def load_model(
    name: str,
    *,
    budget: BudgetSettings | None = None,
    patience: PatienceSettings | None = None,
    quantize: Quantize | None = None,
    num_cameras: int = 1,
    bar: Bar | None = None,
) -> LanguageModel:
    """Blocks while it is fetched and loads; call it in a thread. A remote one is not asked yet.

    budget, patience  what a remote one may cost, and how long it is waited for
    Raises: ModelError, one line that says what to do.
    """
    from llm.fetching import no_bar
    from llm.huggingface import load

    try:
        if name.startswith(SCHEME):
            if quantize is not None:
                raise ModelError("--quantize is for models that run here; leave it away for a model on a server")
            return _remote_model(name, budget or BudgetSettings(), patience or PatienceSettings())
        return load(name, quantize=quantize, num_cameras=num_cameras, bar=bar or no_bar)
    except ModelLoadError as error:
        raise ModelError(redact(str(error))) from error


def _remote_model(name: str, budget: BudgetSettings, patience: PatienceSettings) -> LanguageModel:
    """The bundled checkpoint's eyes for memory, and a model elsewhere to answer."""
    from llm.endpoint import Endpoint
    from llm.huggingface import load
    from llm.openai_api import RemoteModel
    from llm.remote_connection import Patience

    endpoint = Endpoint.parse(name)
    bundled = load("bundled")
    return RemoteModel(
        endpoint,
        encoder=bundled.encoder,
        device=bundled.device,
        dtype=bundled.dtype,
        pauses=REMOTE_PAUSES,
        limits=Limits(calls_per_hour=budget.calls_per_hour, tokens_per_hour=budget.tokens_per_hour),
        patience=Patience(
            first_token=patience.first_word_seconds,
            total=patience.first_word_seconds,
            lost=min(Patience.lost, patience.first_word_seconds),
            answer=patience.answer_seconds,
        ),
    )


@asynccontextmanager
async def _archiving(
    settings: Settings, model: LanguageModel, memory: Memory, device: DeviceThread
) -> AsyncIterator[Archiving | None]:
    """The archive, where one is asked for, with what it knows of live cameras back in memory.

    Of a file or another paced camera nothing comes back: its time is not the clock's.
    """
    if settings.archive is None:
        yield None
        return
    async with Archiving(settings.archive, list(settings.cameras.values()), kind_of(model)) as archiving:
        for index, camera in enumerate(settings.cameras.values()):
            if camera.live:
                restore = partial(archiving.restore, memory, index, now_seconds=time.time())
                await device.run(Priority.CONSOLIDATE, restore)
        yield archiving


@asynccontextmanager
async def _all_cameras(settings: Settings, arrived: asyncio.Event) -> AsyncIterator[list[Camera]]:
    """All cameras entered; left at the same time, so that one slow one does not add to another."""
    cameras = [Camera(camera, arrived=arrived) for camera in settings.cameras.values()]
    entered: list[Camera] = []
    try:
        for camera in cameras:
            await camera.__aenter__()
            entered.append(camera)
        yield cameras
    finally:
        await asyncio.gather(*(camera.__aexit__(None, None, None) for camera in entered))
