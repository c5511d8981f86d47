"""What a person sees in the terminal: a status line, a prompt, answers that stream in; it knows no camera's insides."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import HORIZONTALS
from rich.live import Live
from rich.table import Table
from rich.text import Text

from llm.base import Usage
from streamer.agent import Agent, CameraReport
from streamer.answer import Answer
from streamer.asked import Asked
from streamer.check import CheckReport
from streamer.console import make_console
from streamer.errors import LongwatchError
from streamer.evidence_line import evidence_of_json

REFRESH_SECONDS = 0.5
_STYLES = {
    "live": "green",
    "connecting": "yellow",
    "stale": "yellow",
    "offline": "red",
    "ended": "cyan",
    "disabled": "dim",
}
_LEAVE = ("quit", "exit", "q")


class Terminal:
    """`out` is for answers, `err` for all else; with `as_json` each answer is one JSON object on a line of `out`.

    Words from outside (questions, answers, addresses) are printed as they are: neither console reads markup.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = make_console()
        self.err = make_console(stderr=True)
        self._live: Live | None = None

    @property
    def is_interactive(self) -> bool:
        return sys.stdin.isatty() and self.out.is_terminal and not self.as_json

    def fail(self, error: LongwatchError | str) -> None:
        """One line that says what went wrong."""
        with self._without_status():
            self.err.print(Text.assemble(("error: ", "bold red"), str(error)))

    @contextmanager
    def status(self, agent: Agent) -> Iterator[None]:
        """A live status line below while the block runs; nothing where standard error is no terminal."""
        if not self.err.is_terminal or self.as_json:
            yield
            return
        self._live = Live(
            console=self.err,
            get_renderable=lambda: status_text(agent),
            refresh_per_second=1 / REFRESH_SECONDS,
            transient=True,
            redirect_stdout=False,
        )
        try:
            with self._live:
                yield
        finally:
            self._live = None

    async def show(self, asked: Asked, *, heading: str = "") -> bool:
        """Print the answer as it comes; False, with one line why, where there is none."""
        with self._without_status():
            try:
                if self.as_json:
                    answer = await asked.answer()
                    sys.stdout.write(json.dumps(answer.to_json(), ensure_ascii=False) + "\n")
                    sys.stdout.flush()
                    return True
                if heading:
                    self.out.print(Text(heading, "bold"))
                async for piece in asked:
                    self.out.print(piece, end="")
                self.out.print()
                answer = await asked.answer()
            except LongwatchError as error:
                self.fail(error)
                return False
            except asyncio.CancelledError:
                asked.cancel()
                raise
            self.out.print(evidence_text(answer))
            return True

    async def converse(self, agent: Agent) -> None:
        """A prompt until the person leaves; "NAME: question" asks another camera than the first."""
        from prompt_toolkit import PromptSession
        from prompt_toolkit.formatted_text import ANSI
        from prompt_toolkit.patch_stdout import patch_stdout

        session: PromptSession[str] = PromptSession()
        self.out.print("Ask a question, or type quit. For example: What is in the yard now?\n")
        while True:
            with patch_stdout(raw=True):
                try:
                    line = await session.prompt_async(
                        ANSI("\x1b[1m> \x1b[0m"),
                        bottom_toolbar=lambda: status_text(agent).plain,
                        refresh_interval=REFRESH_SECONDS,
                    )
                except EOFError:
                    return
            if line.strip().lower() in _LEAVE:
                return
            camera, question = _addressed(agent, line)
            try:
                asked = agent.ask(camera, question)
            except LongwatchError as error:
                self.fail(error)
                continue
            await self.show(asked)

    @contextmanager
    def _without_status(self) -> Iterator[None]:
        """The status line makes room for what is printed."""
        live = self._live
        if live is None or not live.is_started:
            yield
            return
        live.stop()
        try:
            yield
        finally:
            live.start()


def status_text(agent: Agent) -> Text:
    """One line per camera: state, frames per second, newest frame's age, how full the tiers are, bytes."""
    lines = [_camera_text(agent.report(camera), agent.memory.nbytes) for camera in range(len(agent.cameras))]
    if agent.usage is not None:
        lines.append(_remote_text(agent.model_name, agent.usage))
    return Text("\n").join(lines)


def _remote_text(name: str, usage: Usage) -> Text:
    """Whether a remote model is there, and what it cost within the last hour of what it may."""
    states = {None: ("trying", "yellow"), True: ("up", "green"), False: ("down", "red")}
    state, style = states[usage.is_up]
    return Text.assemble(
        (f"● {name} {state}", style),
        f" · {usage.calls_last_hour} of {usage.calls_per_hour} calls · {usage.tokens_last_hour:,} of "
        f"{usage.tokens_per_hour:,} tokens this hour",
    )


def _camera_text(report: CameraReport, nbytes: int) -> Text:
    state = report.state
    status = Text.assemble((f"● {report.name} {state.status}", _STYLES[state.status]))
    if state.error is not None:
        status.append(f" ({state.error.code})")
    age = "no frame yet" if report.frame_age_seconds is None else f"newest frame {report.frame_age_seconds:.1f} s old"
    parts = [
        f"{report.fps:.1f} fps",
        age,
        f"{report.num_encoded} of {report.num_seen} encoded",
        f"ring {report.fill.ring_slots}",
        f"long-term {report.fill.long_term_slots}",
        f"memory {nbytes / 1e6:.1f} MB",
    ]
    if lost := report.num_dropped + report.fill.num_overrun:
        parts.append(f"{lost} dropped")
    if report.num_reconnects:
        parts.append(f"{report.num_reconnects} reconnects")
    return status.append(" · " + " · ".join(parts))


def evidence_text(answer: Answer) -> Text:
    """One dim line: from when to when, how many slots, how old the newest frame was, how long it took."""
    return evidence_of_json(answer.to_json())


def check_table(reports: Sequence[CheckReport]) -> Table:
    """What the `check` command found: a row per camera, with its address, what it sends, and what to change."""
    table = Table("camera", "", "address, stream, advice", box=HORIZONTALS, show_lines=True)
    for report in reports:
        lines = [Text(report.url, "bold")]
        if report.has_picture:
            lines.append(Text(" · ".join(_stream_words(report))))
        lines += [Text(f"→ {advice}", "yellow") for advice in report.advice]
        state = Text("ok", "green") if report.ok else Text(report.error.code if report.error else "failed", "red")
        table.add_row(Text(report.camera), state, Text("\n").join(lines), style=None)
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    table.columns[2].overflow = "fold"
    return table


def _stream_words(report: CheckReport) -> Iterator[str]:
    """What a person wants to know of a stream, a few words each."""
    yield f"{report.codec} {report.width}x{report.height}" if report.codec else f"{report.width}x{report.height}"
    if report.transport:
        yield report.transport.upper()
    if report.live and report.decoder:
        device = report.decoder.partition(" on ")[2]
        spare = f" ({report.hardware[0]} is there)" if report.hardware and not device else ""
        yield f"decoded on {device or 'the CPU'}{spare}"
    if report.fps_measured is not None:
        announced = "" if report.fps_announced is None else f" of {report.fps_announced:.1f} announced"
        yield f"{report.fps_measured:.1f} frames per second{announced}"
    if report.key_frame_seconds is not None:
        yield f"key frame every {report.key_frame_seconds:.1f} s{' or more' if report.is_key_frame_bound else ''}"
    if report.lag_seconds is not None:
        yield f"lag {1000 * report.lag_seconds:.0f} ms"
    yield f"first frame after {report.first_frame_seconds:.1f} s"
    if report.num_corrupt:
        yield f"{report.num_corrupt} pictures damaged"


def _addressed(agent: Agent, line: str) -> tuple[int, str]:
    names = [camera.name for camera in agent.cameras]
    name, colon, question = line.partition(":")
    if colon and name.strip() in names:
        return names.index(name.strip()), question
    return 0, line
