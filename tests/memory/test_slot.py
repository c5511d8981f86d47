"""Slot tables keep to their bytes, whatever is written into them."""

from multiprocessing import get_context

import psutil
import pytest

from memory.slot import NOTE_CAPACITY_BYTES, PICTURE_CAPACITY_BYTES, SlotTable


def filled(table: SlotTable, index: int, *, picture: bytes = b"", note: str = "") -> None:
    table.write(
        0,
        index,
        slot_id=index,
        start_seconds=index,
        end_seconds=index + 1,
        weight=1,
        gap_before=False,
        picture=picture,
        note=note,
    )


def test_a_picture_and_a_note_come_back_as_they_went_in() -> None:
    table = SlotTable(1, 3)
    filled(table, 1, picture=b"\xff\xd8" * 1000, note="a red car at the gate")
    assert table.picture(0, 1) == b"\xff\xd8" * 1000
    assert table.note(0, 1) == "a red car at the gate"
    assert table.picture(0, 0) == b""
    assert table.note(0, 2) == ""


def test_a_shorter_picture_leaves_nothing_of_the_longer_one_before() -> None:
    table = SlotTable(1, 1)
    filled(table, 0, picture=b"x" * PICTURE_CAPACITY_BYTES, note="y" * NOTE_CAPACITY_BYTES)
    filled(table, 0, picture=b"z", note="w")
    assert table.picture(0, 0) == b"z"
    assert table.note(0, 0) == "w"


def test_a_picture_too_long_fails_and_changes_nothing() -> None:
    table = SlotTable(1, 1)
    filled(table, 0, picture=b"first")
    with pytest.raises(ValueError, match="at most 65536 bytes, received 65537"):
        filled(table, 0, picture=b"x" * (PICTURE_CAPACITY_BYTES + 1))
    assert table.picture(0, 0) == b"first"


@pytest.mark.parametrize("character", ["a", "ü", "犬", "🐕"])
def test_a_long_note_is_cut_between_two_characters(character: str) -> None:
    table = SlotTable(1, 1)
    table.set_note(0, 0, "." + character * 300)
    note = table.note(0, 0)
    assert note == "." + character * (len(note) - 1)
    size = len(character.encode())
    assert NOTE_CAPACITY_BYTES - size < len(note.encode()) <= NOTE_CAPACITY_BYTES


def test_a_note_that_is_no_text_is_kept_as_far_as_it_is() -> None:
    table = SlotTable(1, 1)
    table.set_note(0, 0, "half a pair \ud83d")
    assert table.note(0, 0) == "half a pair ?"


def test_entries_move_over_each_other_whole() -> None:
    table = SlotTable(1, 5)
    for index in range(5):
        filled(table, index, picture=bytes([index]) * (index + 1), note=f"note {index}")
    table.copy(0, 2, 1, count=3)
    assert table.slot_id[0].tolist() == [0, 2, 3, 4, 4]
    assert [table.note(0, index) for index in range(4)] == ["note 0", "note 2", "note 3", "note 4"]
    assert table.picture(0, 3) == b"\x04" * 5


def test_the_bytes_of_a_table_follow_from_its_size() -> None:
    table = SlotTable(2, 3)
    per_slot = PICTURE_CAPACITY_BYTES + NOTE_CAPACITY_BYTES
    assert 6 * per_slot < table.nbytes < 6 * (per_slot + 64)


def resident_bytes_of_a_table() -> tuple[int, int, int]:
    """(bytes of a table, what a process grew by as it was made, and as it was filled)."""
    process = psutil.Process()
    before = process.memory_info().rss
    table = SlotTable(4, 256)
    made = process.memory_info().rss
    for index in range(256):
        filled(table, index, picture=b"x" * PICTURE_CAPACITY_BYTES, note="y" * NOTE_CAPACITY_BYTES)
    return table.nbytes, made - before, process.memory_info().rss - made


def test_a_table_has_all_its_pages_from_the_start() -> None:
    with get_context("spawn").Pool(1) as fresh:  # one in which nothing freed 67 MB before
        nbytes, grown_as_made, grown_as_filled = fresh.apply(resident_bytes_of_a_table)
    assert grown_as_made > 0.9 * nbytes
    assert grown_as_filled < 0.02 * nbytes
