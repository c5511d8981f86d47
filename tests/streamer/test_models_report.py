"""The `models` command's table and the bar of a fetch, as they look in terminals of two widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.status import Status

from llm.presets import PRESETS
from streamer.fetch_bar import fetch_bar
from streamer.models_report import models_table, report_models


@pytest.fixture(scope="module")
def reports():
    return report_models()


def _printed(renderable, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_every_preset_is_told_with_what_it_needs_and_what_was_tested(reports):
    assert {report.model for report in reports} == {"bundled", *(preset.name for preset in PRESETS)}
    assert [report.model for report in reports if report.is_run_here] == ["bundled"]
    assert all(report.is_parity_tested for report in reports)
    assert sum(report.is_auto for report in reports) <= 1
    for report in reports:
        parts = report.weights_bytes + report.prompt_bytes + report.memory_bytes + report.working_bytes
        assert report.needs_bytes == parts
        assert report.to_json()["is_fitting"] == (report.free_bytes is None or parts <= report.free_bytes)


def test_a_wide_terminal_shows_a_model_a_line(reports):
    lines = _printed(models_table(reports), 110).splitlines()
    shown = [line for line in lines if "/" in line and ("fits" in line or "too large" in line)]
    assert [line.split()[0] for line in shown] == [report.model for report in reports if report.model != "bundled"]
    assert "No weights but the bundled ones have been run by this project." in " ".join(lines)
    assert all(len(line) <= 110 for line in lines)


def test_a_narrow_terminal_shows_every_name_whole_to_be_copied(reports):
    lines = _printed(models_table(reports, width=80), 80).splitlines()
    assert all(len(line) <= 80 for line in lines[: -len(lines) // 3])
    for report in reports:
        assert sum(line.split()[:1] == [report.model] for line in lines) == 1
    assert "…" not in "".join(lines)


def test_the_bar_of_a_fetch_stands_in_place_of_the_status():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Status("loading", console=console) as status:
        with fetch_bar(console, status)("owner/name", 2_000_000_000, 500_000_000) as advance:
            advance(700_000_000)
            advance(-200_000_000)
        console.print("after")
    shown = console.file.getvalue()
    assert "owner/name" in shown
    assert "/2.0 GB" in shown


def test_no_bar_is_shown_where_there_is_no_terminal():
    console = Console(file=io.StringIO(), width=100)
    with fetch_bar(console)("owner/name", 2_000_000_000, 0) as advance:
        advance(1)
    assert console.file.getvalue() == ""
