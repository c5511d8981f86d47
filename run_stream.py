#!/usr/bin/env python3
"""Longwatch's command line: arguments to settings to `asyncio.run`; everything else lives in the packages."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.logging import RichHandler
from rich.text import Text
from typer.core import TyperGroup

from streamer.allocator import share_one_heap
from streamer.console import make_console
from streamer.time_phrases import find_span
from streamer.times import TIMES, Span, parse_moment, parse_time

if TYPE_CHECKING:
    from streamer.settings import Settings

Result = TypeVar("Result")

_errors = make_console(stderr=True)

_UsageError: Any = typer.BadParameter.__base__  # Typer brings its own Click, or takes the installed one

DEMO_SOURCE = "demo://yard?seed=7&speed=1&lively=1"
DEMO_SECONDS = 20.0
DEMO_QUESTIONS = ("What is in the yard now?", "Is the gate open?", "Is it day or night?")


class _Commands(TyperGroup):
    """A wrong call is told as ever, but for the password in an address that stands where it does not belong."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **named: Any) -> Any:
        with _passwords_hidden(args):
            return super().make_context(info_name, list(args), *more, **named)

    def invoke(self, ctx: Any) -> Any:
        with _passwords_hidden(sys.argv[1:]):
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and ("/" in args[0] or "@" in args[0] or os.path.exists(args[0])):
            ctx.fail(f"{args[0]} is no command; to watch a camera or a file: watch {args[0]}")
        return super().resolve_command(ctx, args)


@contextmanager
def _passwords_hidden(args: list[str]) -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        from streamer.secret import SecretUrl

        for typed in sorted(args, key=len, reverse=True):
            error.message = error.message.replace(typed, str(SecretUrl.parse(typed)))
        raise


app = typer.Typer(
    cls=_Commands,
    help="Watches live cameras in constant memory and answers questions about them at any moment.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Sources = Annotated[
    list[str] | None,
    typer.Argument(help="rtsp://, rtsps://, http(s)://, a file, /dev/videoN, or demo://yard?seed=7&speed=1."),
]
Config = Annotated[Path | None, typer.Option(help="A YAML file with cameras, instead of SOURCE.")]
Model = Annotated[
    str | None,
    typer.Option(
        help="'bundled', 'auto', a folder with a transformers checkpoint, OWNER/NAME (see: models), or openai:URL#NAME "
        "of a server."
    ),
]


class Bits(StrEnum):
    """What `--quantize` takes."""

    EIGHT = "8bit"
    FOUR = "4bit"


Quantize = Annotated[
    Bits | None, typer.Option(help="The language model's weights in fewer bits: an NVIDIA GPU and bitsandbytes.")
]
Archive = Annotated[Path, typer.Option(help="The folder that is archive.path in an agent's settings.")]
_ARCHIVE = Path("~/.local/share/longwatch")
Ask = Annotated[list[str] | None, typer.Option(help="A question; may be given several times.")]
For = Annotated[float | None, typer.Option("--for", min=0.0, help="Seconds of the camera's clock to watch for.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per answer on standard output, nothing else.")]


@app.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """Without a command: the demo."""
    if context.invoked_subcommand is None:
        demo()


@app.command()
def demo(model: Model = None, quantize: Quantize = None) -> None:
    """Watch the built-in yard: with a terminal, type questions; without one, ask three after 20 s and end."""
    from streamer.settings import Settings

    settings = Settings.model_validate(
        {"model": model or "bundled", "quantize": quantize, "cameras": {"yard": DEMO_SOURCE}}
    )
    if sys.stdin.isatty() and sys.stdout.isatty():
        _watch(settings)
    _watch(settings, questions=DEMO_QUESTIONS, for_seconds=DEMO_SECONDS)


@app.command()
def watch(
    source: Sources = None,
    config: Config = None,
    model: Model = None,
    quantize: Quantize = None,
    ask: Ask = None,
    for_seconds: For = None,
    as_json: Json = False,
) -> None:
    """Watch cameras and answer questions about them."""
    settings = _settings(source, config, model, quantize)
    if any(not question.strip() for question in ask or ()):
        _fail("the question is empty; give --ask some words, for example: --ask 'What is happening?'")
    _watch(settings, questions=tuple(ask or ()), for_seconds=for_seconds, as_json=as_json)


@app.command()
def ask(
    camera: Annotated[str, typer.Argument(help="A camera's name in the settings; without them, camera1, camera2 ...")],
    question: Annotated[str, typer.Argument(help="In plain words.")],
    archive: Archive = _ARCHIVE,
    at: Annotated[
        str | None, typer.Option(help=f"Ask as if it were then, 14:05 up to its last second: {TIMES}.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only of what was seen since then.")] = None,
    until: Annotated[str | None, typer.Option(help="And until then.")] = None,
    model: Model = None,
    mqtt: Annotated[
        str | None, typer.Option(help="Ask through a broker: mqtt[s]://[USER:PASSWORD@]HOST[:PORT][/TOPIC_PREFIX].")
    ] = None,
    mqtt_ca: Annotated[Path | None, typer.Option(help="The CA that signed the broker's certificate.")] = None,
    as_json: Json = False,
) -> None:
    """Ask the agent that keeps this archive; where none runs, the archive itself, about what it has kept.

    Without --at, --since and --until its own words are read: yesterday at three, between 9 and 10, 2 hours ago.
    With --model that model answers, not the agent's. With --mqtt the agent that is at that broker is asked.
    """
    if at is not None and (since is not None or until is not None):
        raise typer.BadParameter("give either --at or --since and --until")
    folder, is_timed = archive.expanduser(), not at is since is until is None
    span = _span(since, until) if at is None else _moment(at)
    if mqtt is not None:
        if model is not None:
            raise typer.BadParameter("give either --mqtt or --model; through a broker the agent's own model answers")
        _ask_broker(mqtt, mqtt_ca, camera, question, span if is_timed else None, as_json=as_json)
        return
    if model is None and _ask_agent(folder, camera, question, span if is_timed else None, as_json=as_json):
        return
    if not is_timed and (asked := find_span(question, now_seconds=time.time())) is not None:
        question, span = asked
    _ask_archive(folder, camera, question, span, model=model or "bundled", as_json=as_json)


@app.command()
def export(
    camera: Annotated[str, typer.Argument(help="A camera's name in the settings.")],
    archive: Archive = _ARCHIVE,
    since: Annotated[str | None, typer.Option(help=f"From then on: {TIMES}.")] = None,
    until: Annotated[str | None, typer.Option(help="Until then.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="A folder for the JPEGs; else they stand in the lines.")] = None,
) -> None:
    """Write what an agent's archive has kept as JSON Lines on standard output."""
    from streamer.errors import ExportError
    from streamer.export import export_lines

    span = _span(since, until)
    try:
        for line in export_lines(archive.expanduser(), camera, span, pictures=pictures):
            sys.stdout.write(line + "\n")
    except ExportError as error:
        _fail(error)
    except BrokenPipeError as error:  # a reader that has enough
        raise typer.Exit(0) from error


@app.command()
def check(
    source: Sources = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per camera on standard output.")] = False,
) -> None:
    """Open each camera and say what is right or wrong with it, and what to change."""
    settings = _settings(source, config, None)
    from streamer.terminal import Terminal, check_table
    from streamer.watch import check as check_all

    terminal = Terminal(as_json=as_json)
    with terminal.err.status(f"checking {len(settings.cameras)} camera(s), at most 15 s"):
        reports = _run(check_all(settings))
    if as_json:
        for report in reports:
            sys.stdout.write(json.dumps(report.to_json(), ensure_ascii=False) + "\n")
    else:
        terminal.out.print(check_table(reports))
    for report in reports:
        if report.error is not None:
            terminal.fail(f"{report.camera}: {report.error}")
    raise typer.Exit(0 if all(report.ok for report in reports) else 1)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per model on standard output.")] = False,
) -> None:
    """Show the models that are known by name: what they need, whether they fit here, what was tested of them."""
    with _errors.status("looking at this machine"):
        from streamer.models_report import models_table, report_models
        from streamer.terminal import Terminal

        reports = report_models()
    if as_json:
        for report in reports:
            sys.stdout.write(json.dumps(report.to_json(), ensure_ascii=False) + "\n")
    else:
        out = Terminal().out
        out.print(models_table(reports, width=out.width))


def _watch(
    settings: Settings, *, questions: tuple[str, ...] = (), for_seconds: float | None = None, as_json: bool = False
) -> NoReturn:
    """Load the model, watch, and exit with the status of the run."""
    with _errors.status("loading the model") as status:
        from streamer.agent import load_model
        from streamer.errors import ModelError
        from streamer.fetch_bar import fetch_bar
        from streamer.terminal import Terminal
        from streamer.watch import Plan
        from streamer.watch import watch as watch_all

        try:
            model = load_model(
                settings.model_name,
                budget=settings.model_budget,
                patience=settings.model_patience,
                quantize=settings.quantize,
                num_cameras=len(settings.cameras),
                bar=fetch_bar(_errors, status),
            )
        except ModelError as error:
            _fail(error)
    raise typer.Exit(_run(watch_all(settings, model, Plan(questions, for_seconds), Terminal(as_json=as_json))))


def _span(since: str | None, until: str | None) -> Span:
    now_seconds = time.time()
    try:
        first, last = (None if text is None else parse_time(text, now_seconds=now_seconds) for text in (since, until))
        return Span(now_seconds if last is None else last, -math.inf if first is None else first)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _moment(at: str) -> Span:
    try:
        return Span(parse_moment(at, now_seconds=time.time()))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _ask_agent(folder: Path, camera: str, question: str, span: Span | None, *, as_json: bool) -> bool:
    """False where none runs."""
    if not (folder / "agent.sock").exists():  # nothing heavy is loaded then
        return False
    from streamer.client import ask_agent
    from streamer.errors import QuestionError
    from streamer.said import Said

    said = Said(as_json=as_json)
    try:
        answer = _run(ask_agent(folder, camera, question, span, say=said.say))
    except QuestionError as error:
        _fail(error)
    if answer is None:
        return False
    said.end(answer)
    return True


def _ask_broker(
    url: str, ca_file: Path | None, camera: str, question: str, span: Span | None, *, as_json: bool
) -> None:
    from streamer.errors import QuestionError
    from streamer.mqtt_client import BrokerAddress, ask_broker
    from streamer.said import Said

    said = Said(as_json=as_json)
    try:
        address = BrokerAddress.parse(url)
        answer = _run(ask_broker(address, camera, question, span, say=said.say, ca_file=ca_file))
    except ValueError as error:
        raise typer.BadParameter(f"--mqtt: {error}") from error
    except QuestionError as error:
        _fail(error)
    said.end(answer)


def _ask_archive(folder: Path, camera: str, question: str, span: Span, *, model: str, as_json: bool) -> None:
    with _errors.status("loading the model") as status:
        from memory.archive_file import open_to_read
        from memory.errors import ArchiveError
        from streamer.agent import load_model
        from streamer.ask import ask_archive
        from streamer.errors import LongwatchError
        from streamer.fetch_bar import fetch_bar
        from streamer.terminal import Terminal, evidence_text

        try:
            open_to_read(folder).close()
            loaded = load_model(model, bar=fetch_bar(_errors, status))
            answer = _run(ask_archive(loaded, folder, camera, question, span))
        except (ArchiveError, LongwatchError) as error:
            _fail(error)
    if as_json:
        sys.stdout.write(json.dumps(answer.to_json(), ensure_ascii=False) + "\n")
        return
    out = Terminal().out
    out.print(answer.answer)
    out.print(evidence_text(answer))


def _fail(error: Exception | str) -> NoReturn:
    """A line for each thing that is wrong (nearly always one), and exit status 1."""
    for line in str(error).splitlines():
        _errors.print(Text.assemble(("error: ", "bold red"), line))
    raise typer.Exit(1)


def _settings(
    sources: list[str] | None, config: Path | None, model: str | None, quantize: Bits | None = None
) -> Settings:
    """From --config or from SOURCE..., never both."""
    if bool(sources) == bool(config):
        raise typer.BadParameter("give either SOURCE... or --config FILE")
    from streamer.errors import SettingsError
    from streamer.settings import load_settings, settings_from_sources

    try:
        settings = settings_from_sources(sources or []) if config is None else load_settings(config)
    except SettingsError as error:
        _fail(error)
    typed = {"model": model, "quantize": None if quantize is None else quantize.value}
    return settings.model_copy(update={key: value for key, value in typed.items() if value is not None})


def _run(main: Coroutine[object, object, Result]) -> Result:
    """`asyncio.run`; Ctrl-C ends with status 130 and SIGTERM with 143, without a traceback."""
    try:
        return asyncio.run(main)
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error
    except asyncio.CancelledError as error:
        raise typer.Exit(143) from error


def main() -> None:
    """The console script `longwatch`."""
    share_one_heap()
    pretty = RichHandler(console=_errors, show_path=False, show_level=False, log_time_format="%H:%M:%S")
    pretty.setFormatter(logging.Formatter("%(message)s"))
    plain = logging.StreamHandler()
    plain.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[pretty if _errors.is_terminal else plain])
    for package in ("streamer", "llm"):
        logging.getLogger(package).setLevel(logging.INFO)
    try:
        app()
    except SystemExit as done:
        _leave(done.code if isinstance(done.code, int) else int(done.code is not None))


def _leave(status: int) -> NoReturn:
    """All is closed by now; the interpreter would take another second to take its heavy modules apart."""
    logging.shutdown()
    with suppress(OSError):  # a reader that went away
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
