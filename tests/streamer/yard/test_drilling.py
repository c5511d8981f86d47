"""Exercises without a memory: only what follows is taught, and it can be learned."""

import torch

from streamer.yard.drilling import DRILLS_PER_BATCH, drill_batches, loss_of_drills
from streamer.yard.lessons import IGNORED


def test_only_conclusions_are_taught(bundled):
    ids, labels = next(drill_batches(bundled, seed=3))
    assert ids.shape == labels.shape
    assert len(ids) == DRILLS_PER_BATCH
    kinds = set()
    for row, wanted in zip(ids, labels, strict=True):
        taught = wanted != IGNORED
        assert row[taught].equal(wanted[taught])
        said = bundled.tokenizer.decode(wanted[taught], skip_special_tokens=True)
        given = bundled.tokenizer.decode(row[: int(taught.nonzero()[0])], skip_special_tokens=True)
        assert given.rstrip().endswith((":", ","))
        assert ":" not in said
        kinds.add(said.split()[-1].strip("."))
    assert {"first", "minutes", "seconds", "twice", "times"} <= kinds


def test_the_same_seed_gives_the_same_exercises(bundled):
    first, again, other = (next(drill_batches(bundled, seed=seed))[0] for seed in (3, 3, 4))
    assert first.equal(again)
    assert not first.equal(other)


def test_their_loss_goes_to_the_words_alone(bundled):
    text_model = bundled.model.model.text_model
    ids, labels = next(drill_batches(bundled, seed=3))
    loss, right = loss_of_drills(bundled, ids[:8], labels[:8], "cpu")
    (gradient,) = torch.autograd.grad(loss, [text_model.layers[0].self_attn.q_proj.weight])
    assert loss > 0
    assert 0 <= right <= 1
    assert gradient.abs().sum() > 0
