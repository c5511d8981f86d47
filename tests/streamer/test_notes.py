"""A note is written about what is new, and what is not new has it too."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import torch

from llm.base import Piece
from llm.prompt import NOTE_REQUEST
from memory import Memory
from streamer.device import DeviceThread
from streamer.remember import Remember
from tests.memory.moments import START, tokens_of


class Model:
    """Says which scene a slot shows, and counts how often it was asked."""

    def __init__(self, *, says=lambda number: f"Note {number}."):
        self.asked, self._says = [], says

    def answer(self, evidence, question, **_options):
        assert question is NOTE_REQUEST
        self.asked.append(evidence.tokens[0].clone())
        yield Piece(self._says(len(self.asked)), is_token=True)


@asynccontextmanager
async def remembering(model, memory):
    seconds = [START]
    camera = SimpleNamespace(name="yard", live=True, has_frame=False, now_seconds=lambda: seconds[0])
    due = asyncio.Event()
    async with DeviceThread() as device:
        remember = Remember([camera], arrived=asyncio.Event(), due=due, device=device, model=model, memory=memory)
        tasks = [
            asyncio.ensure_future(job) for job in (remember.consolidate_for_ever(), remember.write_notes_for_ever())
        ]

        async def see(scene, num_slots):
            """So many slots of a scene, each with its note before the next comes."""
            for _ in range(num_slots):
                before = memory.fill(0).long_term_slots
                for _ in range(9):
                    seconds[0] += 0.5
                    await device.run(0, lambda: memory.push(0, tokens_of(scene), time_seconds=seconds[0]))
                seconds[0] += 60.0  # so late that what is in the ring is due
                due.set()
                async with asyncio.timeout(10):
                    while not (  # noqa: ASYNC110 - no event says so
                        before < memory.fill(0).long_term_slots == remember.num_notes + remember.num_notes_repeated
                    ):
                        await asyncio.sleep(0.01)

        yield remember, see
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_shows_nothing_new_has_the_note_of_the_one_before():
    memory, model = Memory(1, num_tokens=4, width=8, max_slots=32), Model()
    async with remembering(model, memory) as (remember, see):
        await see(1, 3)
        assert len(model.asked) == 1
        await see(2, 2)
        await see(1, 1)
    assert len(model.asked) == 3
    assert (remember.num_notes, remember.num_notes_skipped) == (3, 0)
    assert remember.num_notes_repeated >= 3
    evidence = memory.recall(0, now_seconds=START + 1e6, max_slots=32)
    notes = [slot.note for slot in evidence.slots if slot.tier == "long_term"]
    assert notes[:6] == ["Note 1."] * 6
    assert set(notes[6:]) == {"Note 2."}
    for seen, scene in zip(model.asked, (1, 2, 1), strict=True):
        assert torch.allclose(seen, tokens_of(scene), atol=1e-5)


async def test_an_empty_note_is_not_repeated():
    memory, model = (
        Memory(1, num_tokens=4, width=8, max_slots=32),
        Model(says=lambda _: ""),
    )
    async with remembering(model, memory) as (remember, see):
        await see(1, 1)
    assert len(model.asked) == memory.fill(0).long_term_slots == 2
    assert remember.num_notes_repeated == 0
