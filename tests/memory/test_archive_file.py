"""A file that cannot be used is told in a sentence, and never harmed."""

import shutil
import sqlite3

import pytest

from memory import Archive, ArchiveError, ArchiveReader, DamagedArchiveError, NewerArchiveError
from memory.archive_file import FILE_NAME, set_aside
from tests.memory.moments import ENCODER, START, moment

ALL = {"most": 100_000, "until_seconds": float("inf")}


def test_folder_and_files_are_for_their_owner_alone(tmp_path):
    folder = tmp_path / "new" / "archive"
    with Archive(folder, encoder=ENCODER) as archive:
        archive.add("yard", [moment(0)], now_seconds=START)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_second_agent_fails_and_the_first_goes_on(tmp_path):
    with Archive(tmp_path, encoder=ENCODER) as archive:
        with pytest.raises(ArchiveError, match=r"another Longwatch writes .* an archive\.path of its own"):
            Archive(tmp_path, encoder=ENCODER)
        archive.add("yard", [moment(0)], now_seconds=START)
        assert len(list(archive.newest("yard", **ALL))) == 1


def test_a_file_of_a_newer_version_fails_and_stays_as_it_is(tmp_path):
    with Archive(tmp_path, encoder=ENCODER) as archive:
        archive.add("yard", [moment(0)], now_seconds=START)
    path = tmp_path / FILE_NAME
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NewerArchiveError, match=r"newer Longwatch \(version 99, this one knows 2\); update"):
        Archive(tmp_path, encoder=ENCODER)
    assert path.read_bytes() == before


def test_a_file_of_an_older_version_is_brought_up_to_date_by_who_may_write(tmp_path):
    path = tmp_path / FILE_NAME
    with Archive(tmp_path, encoder=ENCODER) as archive:
        ids = archive.add("yard", [moment(0), moment(1)], now_seconds=START)
        archive.set_note(ids[0], "A dog.")
    with sqlite3.connect(path) as connection:  # as the first version had it
        connection.execute("ALTER TABLE cameras DROP COLUMN kind")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(ArchiveError, match=r"of an older Longwatch \(version 1\); start its agent once"):
        ArchiveReader(tmp_path, encoder=ENCODER)
    with Archive(tmp_path, encoder=ENCODER, kinds={"yard": "demo"}) as archive:
        assert archive.kind("yard") == ""
        assert [each.note for each in archive.newest("yard", **ALL)] == ["A dog.", ""]
        archive.add("yard", [moment(2)], now_seconds=START)
        assert archive.kind("yard") == "demo"
    with ArchiveReader(tmp_path, encoder=ENCODER) as archive:
        assert archive.cameras() == {"yard": (moment(0).start_seconds, moment(2).end_seconds, "demo")}
        assert archive.kind("street") == ""


def test_what_opens_a_camera_may_change_and_is_not_forgotten(tmp_path):
    for kind, known in (("rtsp", "rtsp"), ("", "rtsp"), ("demo", "demo")):
        with Archive(tmp_path, encoder=ENCODER, kinds={"yard": kind}) as archive:
            archive.add("yard", [moment(0)], now_seconds=START)
            assert archive.kind("yard") == known


def test_a_database_of_another_program_fails_and_stays_as_it_is(tmp_path):
    path = tmp_path / FILE_NAME
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ArchiveError, match="of another program"):
        Archive(tmp_path, encoder=ENCODER)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 100, None])
def test_a_damaged_file_is_told_and_can_be_set_aside(tmp_path, content):
    with Archive(tmp_path, encoder=ENCODER) as archive:
        archive.add("yard", [moment(number) for number in range(50)], now_seconds=START)
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(content or whole[:5000])
    damaged = path.read_bytes()
    with pytest.raises(DamagedArchiveError, match="is damaged"), Archive(tmp_path, encoder=ENCODER) as archive:
        list(archive.newest("yard", **ALL))
    aside = set_aside(tmp_path)
    assert aside.read_bytes() == damaged
    with Archive(tmp_path, encoder=ENCODER) as archive:
        assert not list(archive.newest("yard", **ALL))


def test_a_file_that_was_deleted_while_in_use_is_told(tmp_path):
    with Archive(tmp_path / "a", encoder=ENCODER) as archive:
        shutil.rmtree(tmp_path / "a")
        with pytest.raises(ArchiveError, match="was deleted or replaced"):
            archive.add("yard", [moment(0)], now_seconds=START)


def test_a_folder_that_is_a_file_fails(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArchiveError, match=r"cannot be opened .* can be written to"):
        Archive(tmp_path / "file", encoder=ENCODER)


def test_a_full_disk_is_told_and_what_was_written_stays(tmp_path):
    with Archive(tmp_path, encoder=ENCODER) as archive:
        ids = archive.add("yard", [moment(0)], now_seconds=START)
        pages = archive._file.connection.execute("PRAGMA page_count").fetchone()[0]
        archive._file.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(ArchiveError, match=r"full.*free some space"):
            archive.add("yard", [moment(k, picture=bytes(60_000)) for k in range(1, 9)], now_seconds=START)
        assert [each.moment_id for each in archive.newest("yard", **ALL)] == ids
        archive._file.connection.execute("PRAGMA max_page_count = 1000000")
        archive.add("yard", [moment(9)], now_seconds=START)
        assert len(list(archive.newest("yard", **ALL))) == 2
