"""What was kept goes out as lines that any program reads."""

import json
import subprocess
import sys
from base64 import b64decode

import pytest

from memory import Archive
from streamer.errors import ExportError
from streamer.export import export_lines
from streamer.times import Span
from tests.conftest import REPO
from tests.memory.moments import ENCODER, START, moment

ALL = Span(float("inf"))


@pytest.fixture
def kept(tmp_path):
    folder = tmp_path / "archive"
    with Archive(folder, encoder=ENCODER) as archive:
        ids = archive.add("yard", [moment(0), moment(1, gap_before=True), moment(2, picture=b"")], now_seconds=START)
        archive.set_note(ids[1], "Ein Auto fährt über den Hof.")
        archive.add("street", [moment(0)], now_seconds=START)
    return folder


def test_a_line_has_all_that_was_kept_of_a_moment(kept):
    lines = [json.loads(line) for line in export_lines(kept, "yard", ALL)]
    assert [line["moment_id"] for line in lines] == [1, 2, 3]
    assert [line.get("picture") and b64decode(line["picture"]) for line in lines] == [b"jpeg", b"jpeg", None]
    assert lines[1]["note"] == "Ein Auto fährt über den Hof."
    assert [line["gap_before"] for line in lines] == [False, True, False]
    assert lines[0]["start_seconds"] == START
    assert lines[0]["end_seconds"] == START + 4.0
    assert {line["weight"] for line in lines} == {9}


def test_a_span_takes_what_touches_it(kept):
    touching = export_lines(kept, "yard", Span(moment(1).end_seconds, moment(1).start_seconds))
    assert [json.loads(line)["moment_id"] for line in touching] == [2]


def test_pictures_can_be_files(kept, tmp_path):
    pictures = tmp_path / "new" / "pictures"
    lines = [json.loads(line) for line in export_lines(kept, "yard", ALL, pictures=pictures)]
    assert [line.get("picture") for line in lines] == ["yard-1.jpg", "yard-2.jpg", None]
    assert {path.name: path.read_bytes() for path in pictures.iterdir()} == {
        "yard-1.jpg": b"jpeg",
        "yard-2.jpg": b"jpeg",
    }


def test_what_is_not_there_fails_with_what_is(kept, tmp_path):
    with pytest.raises(ExportError, match="knows no camera 'garden'; it has: street, yard"):
        list(export_lines(kept, "garden", ALL))
    with pytest.raises(ExportError, match="there is no archive in"):
        list(export_lines(tmp_path, "yard", ALL))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="pictures cannot be written there"):
        list(export_lines(kept, "yard", ALL, pictures=tmp_path / "file"))


def test_the_command_line_writes_lines_and_nothing_else(kept):
    command = [sys.executable, "run_stream.py", "export", "yard", "--archive", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=REPO)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["moment_id"] for line in done.stdout.splitlines()] == [1, 2, 3]
    assert done.stderr == ""
    wrong = subprocess.run([*command, "--since", "noon"], capture_output=True, text=True, timeout=120, cwd=REPO)
    assert wrong.returncode == 2
