"""Memories of training worlds are an agent's memories, and questions side by side are questions alone."""

import re
from datetime import datetime

import numpy as np
import pytest
import torch

from llm.prompt import conversation
from streamer.yard.digest import KNOWN_AFTER, DigestHelper
from streamer.yard.histories import draw_history, load_history, save_history
from streamer.yard.remembering import (
    LONGEST_MEMORIES,
    MemoryLessons,
    Written,
    _places_of_told,
    asked_ids,
    loss_of,
    write,
)
from streamer.yard.side_by_side import positions_and_mask, side_by_side

SPANS = (40.0, 400.0)


@pytest.fixture(scope="module")
def snapshots(bundled):
    drawn = []
    for number in range(4):
        rng = np.random.default_rng([number, 3])
        drawn += list(draw_history(bundled.encoder, rng, seed=20_000 + number, spans_seconds=SPANS))
    return drawn


def test_a_snapshot_is_evidence_up_to_its_moment(snapshots, bundled):
    assert len(snapshots) > 20
    for snapshot in snapshots:
        evidence = snapshot.evidence
        assert evidence.tokens.dtype is torch.float16
        assert evidence.tokens.shape[1:] == (bundled.encoder.num_tokens, bundled.encoder.width)
        assert evidence.slots[0].start_seconds >= snapshot.since_seconds
        assert evidence.newest_seconds <= evidence.now_seconds
        assert evidence.frame_age_seconds < 10
        assert snapshot.has_gap or not evidence.gaps


def test_a_history_is_the_same_when_drawn_again_and_when_read_back(snapshots, bundled, tmp_path):
    again = list(draw_history(bundled.encoder, np.random.default_rng([0, 3]), seed=20_000, spans_seconds=SPANS))
    save_history(again, tmp_path / "0.pt")
    for one, other, read in zip(snapshots, again, load_history(tmp_path / "0.pt"), strict=False):
        assert one.evidence.slots == other.evidence.slots == read.evidence.slots
        assert torch.allclose(one.evidence.tokens, other.evidence.tokens, atol=1e-2)
        assert torch.equal(other.evidence.tokens, read.evidence.tokens)


def test_a_written_memory_begins_as_the_prompt_of_each_of_its_questions(snapshots, bundled):
    prompt = bundled.prompt_ids(conversation(snapshots[-1].evidence, "Is the gate open?", camera="yard"))
    question = asked_ids(bundled, "Is the gate open?")
    assert prompt[-len(question) :] == question
    other = bundled.prompt_ids(conversation(snapshots[-1].evidence, "Who came?", camera="yard"))
    assert other[: len(other) - len(asked_ids(bundled, "Who came?"))] == prompt[: -len(question)]


def test_questions_side_by_side_do_not_see_each_other(snapshots, bundled):
    together = write(bundled, snapshots[-1], np.random.default_rng(1))
    assert len(together.starts) >= 5
    ends = (*together.starts[1:], len(together.ids))
    memory_end = together.starts[0]
    alone = [
        Written(
            torch.cat([together.ids[:memory_end], together.ids[start:end]]),
            torch.cat([together.labels[:memory_end], together.labels[start:end]]),
            (memory_end,),
            together.tokens,
            together.clock,
            together.present,
            together.arrived,
            torch.empty(0, 2, dtype=torch.int64),
        )
        for start, end in zip(together.starts, ends, strict=True)
    ]
    with torch.no_grad():
        losses = [float(loss_of(bundled, [each], "cpu")[0]) for each in alone]
        joint = float(loss_of(bundled, [together, alone[0]], "cpu")[0])
    counts = [int((each.labels >= 0).sum()) for each in alone]
    weighted = sum(loss * count for loss, count in zip(losses, counts, strict=True)) + losses[0] * counts[0]
    assert joint == pytest.approx(weighted / (sum(counts) + counts[0]), rel=1e-4)


def test_the_mask_leaves_each_question_its_memory_and_itself():
    positions, mask = positions_and_mask([(4, 6), ()], [9, 10])
    assert positions[0, :9].tolist() == [0, 1, 2, 3, 4, 5, 4, 5, 6]
    assert positions[1].tolist() == list(range(10))
    assert (mask[0, 0, 7] == 0).tolist() == [True] * 4 + [False] * 2 + [True] * 2 + [False] * 2
    assert (mask[0, 0, 3] == 0).tolist() == [True] * 4 + [False] * 6
    assert torch.equal(mask[1, 0] == 0, torch.ones(10, 10, dtype=torch.bool).tril())


def test_what_is_shared_need_not_be_masked(snapshots, bundled):
    batch = [write(bundled, each, np.random.default_rng(3)) for each in snapshots[:2]]
    text_model = bundled.model.model.text_model
    positions, mask = positions_and_mask([each.starts for each in batch], [len(each.ids) for each in batch])
    ids = torch.nn.utils.rnn.pad_sequence([each.ids for each in batch], batch_first=True)
    embedded = bundled.embed(ids, torch.cat([each.tokens.float() for each in batch]))
    with torch.no_grad():
        plain = text_model(inputs_embeds=embedded, attention_mask=mask, position_ids=positions).last_hidden_state
        for num_shared in (1, min(each.starts[0] for each in batch)):
            with side_by_side(text_model):
                shared = text_model(
                    inputs_embeds=embedded, attention_mask=mask, position_ids=positions, num_shared=num_shared
                ).last_hidden_state
            for row, each in enumerate(batch):
                torch.testing.assert_close(shared[row, : len(each.ids)], plain[row, : len(each.ids)], atol=1e-4, rtol=0)
    assert text_model.config._attn_implementation == "sdpa"


def test_short_memories_come_first_and_where_none_is_short_the_longer_ones(snapshots, bundled, tmp_path):
    short = [each for each in snapshots if len(each.evidence.slots) <= LONGEST_MEMORIES[0][1]]
    long = [each for each in snapshots if len(each.evidence.slots) > LONGEST_MEMORIES[0][1] and each.watched.came]
    save_history([*short, *long], tmp_path / "both.pt")
    save_history(long, tmp_path / "long.pt")
    first = next(iter(MemoryLessons(bundled, [tmp_path / "both.pt"], seed=1)))
    assert max(len(each.tokens) for each in first) <= LONGEST_MEMORIES[0][1]
    first = next(iter(MemoryLessons(bundled, [tmp_path / "long.pt"], seed=1)))
    assert min(len(each.tokens) for each in first) > LONGEST_MEMORIES[0][1]


def test_nothing_to_remember_is_told_and_not_waited_for(bundled, tmp_path):
    save_history([], tmp_path / "none.pt")
    with pytest.raises(ValueError, match="nothing to remember in 1 histories"):
        next(iter(MemoryLessons(bundled, [tmp_path / "none.pt"], seed=1)))


def test_the_helper_is_asked_behind_each_picture_and_at_the_end_of_questions(snapshots, bundled):
    eventful = [snapshot for snapshot in snapshots if snapshot.watched.came]
    batch = [write(bundled, each, np.random.default_rng(2)) for each in (snapshots[0], eventful[-1])]
    seen = []

    def helper(states, is_picture, given):
        assert given is batch
        seen.append((states, is_picture))
        ids = torch.nn.utils.rnn.pad_sequence([each.ids for each in batch], batch_first=True)
        assert torch.equal(is_picture, ids == bundled.image_id)
        return states[0].sum()

    with torch.no_grad():
        loss_of(bundled, batch, "cpu", helper)
    ((read, is_picture),) = seen
    assert len(read) == bundled.model.config.text_config.num_hidden_layers + 1
    assert is_picture.sum() == bundled.encoder.num_tokens * sum(len(each.tokens) for each in batch)
    states = [state.clone().requires_grad_() for state in read]
    DigestHelper(bundled.encoder.width)(states, is_picture, batch).backward()
    behind = is_picture.roll(1, 1) & ~is_picture
    ends = torch.zeros_like(behind)
    for row, each in enumerate(batch):
        ends[row, each.sources[:, 0]] = True
    reached = [state.grad.abs().sum(-1) > 0 if state.grad is not None else None for state in states]
    assert torch.equal(reached[1], is_picture)
    assert torch.equal(reached[KNOWN_AFTER], behind)
    assert torch.equal(reached[KNOWN_AFTER + 1], behind | ends)
    assert torch.equal(reached[KNOWN_AFTER + 2], ends)
    asked = [place for place, state in enumerate(states) if state.grad is not None]
    assert asked == [1, KNOWN_AFTER, KNOWN_AFTER + 1, KNOWN_AFTER + 2]


def test_each_thing_that_is_told_knows_the_slot_in_which_it_came(bundled):
    """Of memories long enough for lists."""
    long_ones = draw_history(bundled.encoder, np.random.default_rng([2, 3]), seed=20_002, spans_seconds=(800.0, 1600.0))
    num_things, num_times, num_ends = 0, 0, 0
    for snapshot in long_ones:
        each = write(bundled, snapshot, np.random.default_rng(3))
        ends = (*each.starts[1:], len(each.ids))
        for place, slot in each.sources.tolist():
            end = min(end for end in ends if end > place)
            rest = bundled.tokenizer.decode(each.ids[place + 1 : end])
            own = snapshot.evidence.slots[slot]
            if re.match(r"\d+ (second|minute)", rest.strip()):
                continue  # how long it was, behind both of its ends
            if clock := re.search(r"\d\d:\d\d", rest):
                is_end = re.match(r" ?[\d:]{8}, \d", rest)
                told = datetime.fromtimestamp(own.end_seconds if is_end else own.start_seconds)
                num_ends += is_end is not None
                assert clock[0] == f"{told:%H:%M}", rest
                num_times += clock.start() <= 1
                num_things += clock.start() > 1 and each.labels[place] >= 0
    assert num_things > 5
    assert num_times > 20
    assert num_ends > 5


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        (" A red car.", [(-1, 0)]),
        (" Yes, a red car and a dog.", [(-1, 0), (5, 1)]),
        (" At 14:05.", [(-1, 0), (0, 0)]),
        (" At 14:05 and 14:09, twice.", [(-1, 0), (4, 1), (8, 2), (0, 0)]),
        (" From 14:05:01 to 14:05:41, 40 seconds.", [(-1, 0), (12, 1), (0, 0), (6, 1)]),
        (" A car at 14:05, a dog at 14:06 and smoke at 15:00.", [(-1, 0), (6, 1), (13, 2), (2, 0), (9, 1), (15, 2)]),
    ],
)
def test_places_before_things_and_times(answer, places):
    tokens = list(re.finditer(r" ?[A-Za-z]+| ?\d\d|[:.,]", answer))
    assert list(_places_of_told(answer[1:], [token.start() - 1 for token in tokens])) == places
    trimmed = [token.start() - 1 + token[0].startswith(" ") for token in tokens]
    assert list(_places_of_told(answer[1:], trimmed)) == places
