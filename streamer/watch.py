"""One run of the agent from the command line: watch, ask what was asked for, or hold a conversation; then leave."""

from __future__ import annotations

import asyncio
import math
import signal
from dataclasses import dataclass

from llm.base import LanguageModel
from streamer.agent import Agent, run_agent
from streamer.asked import Asked
from streamer.capture import Camera
from streamer.check import CheckReport, check_camera
from streamer.errors import BusyError, CameraError, LongwatchError, NotReadyError, QuestionError
from streamer.settings import Settings
from streamer.terminal import Terminal

FIRST_FRAME_SECONDS = 15.0
ASK_AFTER_SECONDS = 10.0
BUSY_SECONDS = 0.1
_HOPELESS = ("auth", "not_found", "unsupported", "codec")
"""Camera errors that another try within `FIRST_FRAME_SECONDS` will not mend."""


@dataclass(frozen=True)
class Plan:
    """What to do once the cameras are watched.

    questions: asked of every camera after `for_seconds` of its clock (10 s where not given), or at a file's end;
    without any, a conversation where there is a terminal, else watching for `for_seconds`, or for ever.
    """

    questions: tuple[str, ...] = ()
    for_seconds: float | None = None


async def watch(settings: Settings, model: LanguageModel, plan: Plan, terminal: Terminal) -> int:
    """Returns the exit status: 0 done, 1 where a camera gave no frame or a question got no answer."""
    if not any(camera.enabled for camera in settings.cameras.values()):
        terminal.fail("every camera is disabled; write enabled: true in the settings of those to be watched")
        return 1
    with _stop_on_sigterm():
        async with run_agent(settings, model) as agent:
            if not plan.questions and terminal.is_interactive and plan.for_seconds is None:
                await terminal.converse(agent)
                return 0
            turn = asyncio.Lock()
            run = _ask_camera if plan.questions else _watch_camera
            with terminal.status(agent):
                done = await asyncio.gather(
                    *(run(agent, camera, plan, terminal, turn) for camera in range(len(agent.cameras)))
                )
            return 0 if all(done) else 1


async def check(settings: Settings) -> list[CheckReport]:
    """Opens all cameras at once and reports on each."""
    return await asyncio.gather(*(check_camera(camera) for camera in settings.cameras.values()))


async def _ask_camera(agent: Agent, camera: int, plan: Plan, terminal: Terminal, turn: asyncio.Lock) -> bool:
    """Asks one camera all questions at its own time; answers are printed camera by camera. False where one got none."""
    watched = agent.cameras[camera]
    if not watched.settings.enabled:
        return True
    if not await _first_frame(agent, camera):
        async with turn:
            terminal.fail(_no_frame(agent, camera))
        return False
    wait_seconds = ASK_AFTER_SECONDS if plan.for_seconds is None else plan.for_seconds
    await agent.wait_until(camera, _since_first(watched, wait_seconds))
    asked = [await _ask(agent, camera, question) for question in plan.questions]
    done = True
    async with turn:
        for one in asked:
            if isinstance(one, QuestionError):
                terminal.fail(one)
                done = False
                continue
            name = f"{watched.name}: " if len(agent.cameras) > 1 else ""
            done &= await terminal.show(one, heading=f"> {name}{one.question}")
    return done


async def _ask(agent: Agent, camera: int, question: str) -> Asked | QuestionError:
    """Asks; where too many questions wait, a little later."""
    while True:
        try:
            return agent.ask(camera, question)
        except BusyError:
            await asyncio.sleep(BUSY_SECONDS)
        except QuestionError as error:
            return error


async def _watch_camera(agent: Agent, camera: int, plan: Plan, terminal: Terminal, turn: asyncio.Lock) -> bool:
    """Until `for_seconds` of the camera's clock have passed since its first frame; without them, until a file's end."""
    watched = agent.cameras[camera]
    if watched.state.status == "disabled":
        return True
    while not agent.is_over(camera) and not await agent.wait_for_frame(camera, timeout_seconds=FIRST_FRAME_SECONDS):
        continue
    await agent.wait_until(camera, math.inf if plan.for_seconds is None else _since_first(watched, plan.for_seconds))
    if watched.state.status == "ended" and (watched.first_frame_seconds is None or watched.state.error is not None):
        async with turn:
            terminal.fail(_no_frame(agent, camera))
        return False
    return True


def _since_first(camera: Camera, seconds: float) -> float:
    return (camera.first_frame_seconds or 0.0) + seconds


def _no_frame(agent: Agent, camera: int) -> LongwatchError:
    """Why a camera gave no frame, or not all that it has."""
    watched = agent.cameras[camera]
    if watched.state.error is not None:
        return watched.state.error
    if watched.state.status == "disabled":
        return NotReadyError(f"camera {watched.name} is disabled; write enabled: true in its settings")
    if watched.state.status == "ended":
        return CameraError("codec", f"{watched.settings.url} holds no picture that can be decoded; is it a video?")
    return NotReadyError(
        f"{watched.settings.url} gave no frame within {FIRST_FRAME_SECONDS:.0f} s; see what `check` says of it"
    )


async def _first_frame(agent: Agent, camera: int) -> bool:
    """True once a frame is in memory; False after 15 s, or at once where waiting will not help."""
    watched = agent.cameras[camera]
    deadline_seconds = asyncio.get_running_loop().time() + FIRST_FRAME_SECONDS
    while (left_seconds := deadline_seconds - asyncio.get_running_loop().time()) > 0:
        if await agent.wait_for_frame(camera, timeout_seconds=min(0.3, left_seconds)):
            return True
        error = watched.state.error
        is_hopeless = error is not None and error.code in _HOPELESS
        if agent.is_over(camera) or is_hopeless or watched.state.status == "disabled":
            return False
    return False


class _stop_on_sigterm:  # noqa: N801 - reads as the statement it is
    """SIGTERM leaves the block as Ctrl-C does, with everything closed."""

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
