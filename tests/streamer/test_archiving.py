"""What an agent remembers outlives it, and a disk that fails costs nothing but what cannot be written."""

import asyncio
import logging
import shutil
import time

from memory import Archive, EncoderKind, Memory
from memory.archive_file import FILE_NAME
from streamer.agent import run_agent
from streamer.archiving import MAX_WAITING, Archiving
from streamer.settings import ArchiveSettings, CameraSettings, Settings
from tests.memory.moments import ENCODER, moment

ALL = {"most": 100_000, "until_seconds": float("inf")}
YARD = [CameraSettings(name="yard", url="demo://yard")]


def kept(folder, encoder=ENCODER, camera="yard"):
    with Archive(folder, encoder=encoder) as archive:
        return list(archive.newest(camera, **ALL))


def archiving_to(folder) -> Archiving:
    return Archiving(ArchiveSettings(path=folder), YARD, ENCODER, retry_seconds=0.05)


async def until_written(archiving: Archiving, count: int) -> None:
    async with asyncio.timeout(20):
        while archiving.num_written < count:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)


async def test_an_agent_that_is_started_again_remembers(bundled, tmp_path, caplog):
    settings = Settings.model_validate(
        {"cameras": {"yard": {"url": "demo://yard?lively=1", "fps": 4}}, "archive": {"path": tmp_path}}
    )
    encoder = bundled.encoder
    kind = EncoderKind(encoder.identity, encoder.num_tokens, encoder.width)
    assert len(encoder.identity) == 32
    async with run_agent(settings, bundled) as agent:
        assert await agent.wait_for_frame(0, timeout_seconds=15)
        first_seconds = agent.cameras[0].first_frame_seconds
        await agent.wait_until(0, first_seconds + 3)
        num_seen = agent.report(0).num_encoded + agent.report(0).num_unchanged
    moments = kept(tmp_path, kind)
    assert moments[0].start_seconds == first_seconds
    assert sum(each.weight for each in moments) >= num_seen > 5
    caplog.set_level(logging.INFO, logger="streamer.archiving")
    async with run_agent(settings, bundled) as agent:
        assert "camera yard: memory goes on from the archive, moments: " in caplog.text
        assert agent.report(0).fill.long_term_slots >= 1
        assert await agent.wait_for_frame(0, timeout_seconds=15)
        again_seconds = agent.cameras[0].first_frame_seconds
        answer = await agent.ask(0, "Is the gate open?").answer()
    assert answer.evidence[0].start_seconds == first_seconds
    assert answer.evidence[0].tier == "long_term"
    assert answer.evidence[0].picture.startswith(b"\xff\xd8")
    both = kept(tmp_path, kind)
    assert [each.moment_id for each in both[: len(moments)]] == [each.moment_id for each in moments]
    assert both[len(moments)].gap_before
    assert both[len(moments)].start_seconds == again_seconds


async def test_notes_are_kept_with_their_moments(tmp_path):
    async with archiving_to(tmp_path) as archiving:
        task = asyncio.ensure_future(archiving.run())
        archiving.put([(0, [moment(0), moment(1)])], [0.0])
        archiving.put_note(0, 1, "A car comes.")
        await until_written(archiving, 2)
        task.cancel()
    assert [each.note for each in kept(tmp_path)] == ["", "A car comes."]


async def test_what_waits_at_the_end_is_written_once(tmp_path):
    """Though the task that wrote it is cancelled on the way."""
    async with archiving_to(tmp_path) as archiving:
        for number in range(30):
            archiving.put([(0, [moment(number)])], [0.0])
        task = asyncio.ensure_future(archiving.run())
        await asyncio.sleep(0.01)
        task.cancel()
    assert [each.start_seconds for each in kept(tmp_path)] == [moment(number).start_seconds for number in range(30)]


async def test_a_disk_that_takes_nothing_is_told_once_and_tried_again(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="streamer.archiving")
    folder = tmp_path / "archive"
    folder.write_text("in the way")
    async with archiving_to(folder) as archiving:
        task = asyncio.ensure_future(archiving.run())
        archiving.put([(0, [moment(0)])], [0.0])
        await asyncio.sleep(0.4)
        assert archiving.num_written == 0
        folder.unlink()
        await until_written(archiving, 1)
        task.cancel()
    assert caplog.text.count("cannot be opened") == 1
    assert caplog.text.count("is written again") == 1
    assert len(kept(folder)) == 1


async def test_a_deleted_archive_is_begun_anew(tmp_path, caplog):
    folder = tmp_path / "archive"
    async with archiving_to(folder) as archiving:
        task = asyncio.ensure_future(archiving.run())
        archiving.put([(0, [moment(0)])], [0.0])
        await until_written(archiving, 1)
        shutil.rmtree(folder)
        archiving.put([(0, [moment(1)])], [0.0])
        await until_written(archiving, 2)
        task.cancel()
    assert caplog.text.count("was deleted or replaced") == 1
    assert [each.start_seconds for each in kept(folder)] == [moment(1).start_seconds]


async def test_a_damaged_archive_is_set_aside_and_told(tmp_path, caplog):
    (tmp_path / FILE_NAME).write_bytes(b"no database, but long enough to be looked at" * 200)
    async with archiving_to(tmp_path) as archiving:
        archiving.put([(0, [moment(0)])], [0.0])
    assert "is damaged" in caplog.text
    assert "a new one is begun" in caplog.text
    assert len(list(tmp_path.glob(f"{FILE_NAME}.damaged-*"))) == 1
    assert len(kept(tmp_path)) == 1


async def test_an_archive_that_is_damaged_while_it_is_used_is_set_aside(tmp_path, caplog):
    async with archiving_to(tmp_path) as archiving:
        task = asyncio.ensure_future(archiving.run())
        archiving.put([(0, [moment(number, picture=bytes(5000)) for number in range(100)])], [0.0])
        await until_written(archiving, 100)
        archiving._opened._file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (tmp_path / FILE_NAME).open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 300_000)
        archiving._opened._file.connection.execute("PRAGMA shrink_memory")
        for number in range(100, 140):
            archiving.put([(0, [moment(number)])], [0.0])
        await until_written(archiving, 140)
        task.cancel()
    assert "a new one is begun" in caplog.text
    assert len(kept(tmp_path)) >= 1


async def test_what_waits_too_long_is_lost_and_counted(tmp_path, caplog):
    folder = tmp_path / "archive"
    folder.write_text("in the way")
    async with archiving_to(folder) as archiving:
        for number in range(MAX_WAITING + 5):
            archiving.put([(0, [moment(number), moment(number)])], [0.0])
        assert archiving.num_lost == 10
    assert archiving.num_lost == 2 * (MAX_WAITING + 5)
    assert "were not written before the end" in caplog.text


async def test_one_camera_keeps_no_more_than_its_share(tmp_path):
    settings = ArchiveSettings(path=tmp_path, keep_gigabytes_per_camera=0.001)
    async with Archiving(settings, YARD, ENCODER) as archiving:
        archiving.put([(0, [moment(number, picture=bytes(50_000)) for number in range(40)])], [0.0])
    assert 15 <= len(kept(tmp_path)) <= 19


async def test_memory_is_not_touched_where_nothing_was_kept(tmp_path):
    memory = Memory(1, num_tokens=4, width=8, max_slots=8)
    async with archiving_to(tmp_path) as archiving:
        assert archiving.restore(memory, 0, now_seconds=time.time()) == 0
    assert memory.fill(0).long_term_slots == 0
