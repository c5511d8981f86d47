"""Memories of training worlds are an agent's memories, and questions side by side are questions alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from llm.prompt import conversation
from memory import Gap
from streamer.yard.digest import COUNTING_HEADS, COUNTING_LAYER, KNOWN_AFTER, LOOKING_LAYER, DigestHelper, counting_loss
from streamer.yard.histories import draw_history, load_history, save_history
from streamer.yard.remembering import (
    LONGEST_MEMORIES,
    MemoryLessons,
    Written,
    asked_ids,
    loss_of,
    write,
)
from streamer.yard.shown import NUM_ASKED
from streamer.yard.side_by_side import Heads, positions_and_mask, side_by_side
from streamer.yard.sources import Source
from streamer.yard.watched import ALL_ASKED

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
            together.recent,
            together.left,
            torch.empty(0, len(Source._fields), dtype=torch.int64),
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


def test_memories_begin_late_enough_to_be_as_short_as_is_to_be_learned(snapshots, bundled, tmp_path):
    most = LONGEST_MEMORIES[0][1]
    long = [each for each in snapshots if len(each.evidence.slots) > most and each.watched.came]
    save_history(long, tmp_path / "long.pt")
    for num_before, longest in LONGEST_MEMORIES[:2]:
        lessons = iter(MemoryLessons(bundled, [tmp_path / "long.pt"], seed=1, num_before=num_before))
        drawn = [len(each.tokens) for _ in range(6) for each in next(lessons)]
        assert max(drawn) == min(longest, max(len(each.evidence.slots) for each in long))


def test_a_memory_that_began_later_knows_only_what_came_since(snapshots):
    num_less = 0
    for snapshot in snapshots:
        kept = max(1, len(snapshot.evidence.slots) // 2)
        later = snapshot.newest(kept)
        assert later.evidence.slots == snapshot.evidence.slots[-kept:]
        assert torch.equal(later.evidence.tokens, snapshot.evidence.tokens[-kept:])
        assert later.since_seconds >= snapshot.since_seconds
        came = set(later.watched.came)
        assert came <= set(snapshot.watched.came)
        assert all(coming.start_seconds >= later.since_seconds for coming in came)
        assert all(gap.end_seconds > later.since_seconds for gap in later.evidence.gaps)
        assert later.has_gap == bool(later.evidence.gaps)
        num_less += len(came) < len(snapshot.watched.came)
    assert num_less > 3
    assert snapshots[0].newest(1000) is snapshots[0]


def test_nothing_to_remember_is_told_and_not_waited_for(bundled, tmp_path):
    save_history([], tmp_path / "none.pt")
    with pytest.raises(ValueError, match="nothing to remember in 1 histories"):
        next(iter(MemoryLessons(bundled, [tmp_path / "none.pt"], seed=1)))


def test_the_helper_is_asked_behind_each_picture_and_where_something_is_told(snapshots, bundled):
    eventful = [snapshot for snapshot in snapshots if snapshot.watched.came]
    batch = [write(bundled, each, np.random.default_rng(2)) for each in (snapshots[0], eventful[-1])]
    seen = []

    def helper(states, is_picture, given, heads):
        assert given is batch
        seen.append((states, is_picture, heads))
        ids = torch.nn.utils.rnn.pad_sequence([each.ids for each in batch], batch_first=True)
        assert torch.equal(is_picture, ids == bundled.image_id)
        return states[0].sum()

    with torch.no_grad():
        loss_of(bundled, batch, "cpu", helper)
    ((read, is_picture, heads),) = seen
    assert len(read) == bundled.model.config.text_config.num_hidden_layers + 1
    assert is_picture.sum() == bundled.encoder.num_tokens * sum(len(each.tokens) for each in batch)
    states = [state.clone().requires_grad_() for state in read]
    DigestHelper(bundled.encoder.width)(states, is_picture, batch, heads).backward()
    behind = is_picture.roll(1, 1) & ~is_picture
    came, found, fetching = (torch.zeros_like(behind) for _ in range(3))
    for row, each in enumerate(batch):
        came[row, behind[row].nonzero().flatten()[each.arrived.any(1)]] = True
        found[row, each.sources[:, 0]] = True
        fetching[row, each.sources[each.sources[:, 1] >= 0, 0]] = True
    assert {int(is_next) for each in batch for is_next in each.sources[:, 2]} == {0, 1}
    reached = {place: state.grad.abs().sum(-1) > 0 for place, state in enumerate(states) if state.grad is not None}
    assert set(reached) == {1, KNOWN_AFTER, KNOWN_AFTER + 1, COUNTING_LAYER, LOOKING_LAYER, LOOKING_LAYER + 1}
    assert torch.equal(reached[1], is_picture)
    assert torch.equal(reached[KNOWN_AFTER], behind)
    assert torch.equal(reached[KNOWN_AFTER + 1], behind)
    assert came.any()
    assert (reached[COUNTING_LAYER] >= came).all()
    assert (reached[LOOKING_LAYER] >= found).all()
    assert torch.equal(reached[LOOKING_LAYER + 1], fetching)


def test_what_came_within_the_last_minute_is_told_apart(snapshots, bundled):
    num_recent = 0
    for snapshot in snapshots:
        written = write(bundled, snapshot, np.random.default_rng(4))
        ages = [snapshot.evidence.now_seconds - slot.start_seconds for slot in snapshot.evidence.slots]
        for age_seconds, recent, arrived in zip(ages, written.recent, written.arrived, strict=True):
            assert torch.equal(recent, arrived if age_seconds <= 60 else torch.zeros_like(arrived))
        num_recent += int(written.recent.sum())
    assert num_recent > 0


class _Scores:
    """Heads that look with all their weight, shared equally, at what a test says."""

    def __init__(self, looked_at):
        self._looked_at = looked_at

    def scores(self, states, _row, places, *, layer, head):
        assert layer == COUNTING_LAYER
        scores = torch.full((len(places), states.shape[1]), -1e4)
        for scored, place in zip(scores, places.tolist(), strict=True):
            scored[self._looked_at[head][place]] = 0.0
        return scores


def test_what_came_again_is_counted_by_looking_at_each_time_it_came_before(snapshots, bundled):
    """A car in the first, third and fourth of four slots, red in the first and the last."""
    car, red_car = ALL_ASKED.index(("car", "")), ALL_ASKED.index(("car", "red"))
    arrived = torch.zeros(4, NUM_ASKED)
    arrived[[0, 2, 3], car] = arrived[[0, 3], red_car] = 1.0
    written = replace(write(bundled, snapshots[-1], np.random.default_rng(1)), arrived=arrived)
    is_behind = torch.zeros(1, 10, dtype=torch.bool)
    is_behind[0, [2, 4, 6, 8]] = True
    right = [{2: [0], 6: [0, 2], 8: [0, 2, 6]}, {2: [0], 8: [0, 2]}]
    assert [car in columns for columns in COUNTING_HEADS] == [True, False]
    assert sorted(sum(COUNTING_HEADS, ())) == list(range(NUM_ASKED))
    states = torch.zeros(1, 10, 3)
    least = counting_loss(states, is_behind, [written], _Scores(right))
    too_few, too_many, itself, of_another_colour = [0, 6], [0, 2, 4, 6], [0, 2, 6], [0, 2, 6]
    for head, place, looked_at in ((0, 8, too_few), (0, 8, too_many), (0, 6, itself), (1, 8, of_another_colour)):
        wrong = [dict(each) for each in right]
        wrong[head][place] = looked_at
        assert counting_loss(states, is_behind, [written], _Scores(wrong)) > least
    none = replace(written, arrived=torch.zeros(4, NUM_ASKED))
    assert counting_loss(states, is_behind, [none], _Scores(right)) == 0


def test_what_a_head_looks_at_is_what_the_model_attends_to(snapshots, bundled):
    batch = [write(bundled, each, np.random.default_rng(3)) for each in snapshots[-2:]]
    text_model = bundled.model.model.text_model
    positions, mask = positions_and_mask([each.starts for each in batch], [len(each.ids) for each in batch])
    ids = torch.nn.utils.rnn.pad_sequence([each.ids for each in batch], batch_first=True)
    embedded = bundled.embed(ids, torch.cat([each.tokens.float() for each in batch]))
    before, text_model.config._attn_implementation = text_model.config._attn_implementation, "eager"
    try:
        with torch.no_grad():
            read = text_model(
                inputs_embeds=embedded,
                attention_mask=mask,
                position_ids=positions,
                output_hidden_states=True,
                output_attentions=True,
            )
            heads = Heads(text_model, positions, mask)
            for row, layer, head in ((0, 3, 1), (1, 4, 0), (1, 5, 2)):
                places = torch.tensor([5, batch[row].starts[0] + 3, len(batch[row].ids) - 2])
                told = heads.scores(read.hidden_states[layer], row, places, layer=layer, head=head).softmax(-1)
                torch.testing.assert_close(told, read.attentions[layer][row, head, places], atol=1e-4, rtol=1e-3)
    finally:
        text_model.config._attn_implementation = before


def test_a_memory_that_is_said_to_be_of_another_day_is_the_same_otherwise(snapshots):
    late = 40 * 86_400.0 + 5000.0
    for snapshot in snapshots[:8]:
        other = snapshot.later(late)
        assert other.state == snapshot.state
        assert torch.equal(other.evidence.tokens, snapshot.evidence.tokens)
        assert other.evidence.frame_age_seconds == snapshot.evidence.frame_age_seconds
        for one, two in zip(snapshot.evidence.slots, other.evidence.slots, strict=True):
            assert two.start_seconds == one.start_seconds + late
            assert two.end_seconds == one.end_seconds + late
        moved = [(each.named, each.start_seconds + late, each.end_seconds + late) for each in snapshot.watched.came]
        assert [(each.named, each.start_seconds, each.end_seconds) for each in other.watched.came] == moved
        ages = [snapshot.watched.age_seconds(each) for each in snapshot.watched.came]
        assert [other.watched.age_seconds(each) for each in other.watched.came] == pytest.approx(ages)


def test_a_gap_moves_with_its_memory_and_is_forgotten_with_what_was_before_it(snapshots):
    snapshot = max(snapshots, key=lambda each: len(each.evidence.slots))
    start = snapshot.evidence.slots[1].start_seconds
    gap = Gap(start - 0.5, start)
    seen = replace(snapshot, evidence=replace(snapshot.evidence, gaps=(gap,)), has_gap=True)
    assert seen.later(100.0).evidence.gaps == (Gap(gap.start_seconds + 100.0, gap.end_seconds + 100.0),)
    num_slots = len(seen.evidence.slots)
    assert seen.newest(num_slots).has_gap
    later = seen.newest(num_slots - 1)
    assert not later.has_gap
    assert not later.evidence.gaps


def test_no_time_of_a_world_is_told_twice(snapshots, bundled, tmp_path):
    eventful = [snapshot for snapshot in snapshots if len(snapshot.watched.came) > 1][:1]
    save_history(eventful, tmp_path / "one.pt")
    lessons = iter(MemoryLessons(bundled, [tmp_path / "one.pt"], seed=1, num_before=LONGEST_MEMORIES[-1][0]))
    drawn = [tuple(each.clock[-1].tolist()) for _ in range(6) for each in next(lessons)]
    assert len(set(drawn)) == len(drawn)
