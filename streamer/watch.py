"""One run of the agent from the command line: watch, ask what was asked for, or hold a conversation; then leave."""

from __future__ import annotations

import asyncio
import logging
import signal
from dataclasses import dataclass

from llm.base import LanguageModel
from streamer.agent import Agent, run_agent
from streamer.check import CheckReport, check_camera
from streamer.errors import NotReadyError
from streamer.settings import Settings
from streamer.terminal import Terminal

log = logging.getLogger(__name__)

FIRST_FRAME_SECONDS = 15.0
ASK_AFTER_SECONDS = 10.0
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
    """Returns the exit status: 0 done, 1 where a question got no answer."""
    with _stop_on_sigterm():
        async with run_agent(settings, model) as agent:
            if plan.questions:
                with terminal.status(agent):
                    await asyncio.gather(*(_wait_to_ask(agent, camera, plan) for camera in range(len(agent.cameras))))
                return await _ask_all(agent, plan, terminal)
            if terminal.is_interactive and plan.for_seconds is None:
                await terminal.converse(agent)
                return 0
            with terminal.status(agent):
                await asyncio.gather(*(_wait_to_end(agent, camera, plan) for camera in range(len(agent.cameras))))
            return 0


async def check(settings: Settings) -> list[CheckReport]:
    """Opens all cameras at once and reports on each."""
    return await asyncio.gather(*(check_camera(camera) for camera in settings.cameras.values()))


async def _wait_to_ask(agent: Agent, camera: int, plan: Plan) -> None:
    if not await _first_frame(agent, camera):
        return
    first_seconds = agent.cameras[camera].first_frame_seconds
    if first_seconds is not None:
        wait_seconds = ASK_AFTER_SECONDS if plan.for_seconds is None else plan.for_seconds
        await agent.wait_until(camera, first_seconds + wait_seconds)


async def _wait_to_end(agent: Agent, camera: int, plan: Plan) -> None:
    """Until `for_seconds` of the camera's clock have passed since its first frame; without them, until a file's end."""
    watched = agent.cameras[camera]
    while watched.first_frame_seconds is None and not watched.ended.is_set():
        await agent.wait_for_frame(camera, timeout_seconds=FIRST_FRAME_SECONDS)
    if plan.for_seconds is None or watched.first_frame_seconds is None:
        await watched.ended.wait()
    else:
        await agent.wait_until(camera, watched.first_frame_seconds + plan.for_seconds)


async def _ask_all(agent: Agent, plan: Plan, terminal: Terminal) -> int:
    failed = False
    for camera, watched in enumerate(agent.cameras):
        if watched.first_frame_seconds is None:
            error = watched.state.error
            terminal.fail(
                error or NotReadyError(f"no frame came from {watched.settings.url} within {FIRST_FRAME_SECONDS:.0f} s")
            )
            failed = True
            continue
        for question in plan.questions:
            if not terminal.as_json:
                name = f"{watched.name}: " if len(agent.cameras) > 1 else ""
                terminal.out.print(f"[bold]> {name}[/]", question, sep="", markup=True)
            failed |= not await terminal.ask(agent, camera, question)
    return 1 if failed else 0


async def _first_frame(agent: Agent, camera: int) -> bool:
    """True once a frame is in memory; False after 15 s, or at once where waiting will not help."""
    watched = agent.cameras[camera]
    deadline_seconds = asyncio.get_running_loop().time() + FIRST_FRAME_SECONDS
    while (left_seconds := deadline_seconds - asyncio.get_running_loop().time()) > 0:
        if await agent.wait_for_frame(camera, timeout_seconds=min(0.3, left_seconds)):
            return True
        error = watched.state.error
        if watched.ended.is_set() or (error is not None and error.code in _HOPELESS):
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
