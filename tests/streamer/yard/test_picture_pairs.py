"""Pictures to learn to see from, and what likeness the eyes are taught."""

import numpy as np
import torch

from encoders import Preprocessing
from llm.huggingface import BUNDLED_FOLDER
from streamer.yard.checkpoint import PARTS_PER_SIDE, PICTURE_SIZE
from streamer.yard.lessons import FIRST_TRAINING_SEED, draw_scene
from streamer.yard.picture_pairs import (
    HARD_TO_SEE,
    NUM_CONTENTS,
    NUM_SWITCHES,
    PicturePairs,
    collate_pairs,
    contents_of,
    label_grid,
)
from streamer.yard.seeing import LIKENESS_OF_ONE, likeness_loss
from streamer.yard.watched import NAMED
from streamer.yard.world import World


def _pairs(num_pictures, seed=5):
    preprocessing = Preprocessing.from_folder(BUNDLED_FOLDER, size=(PICTURE_SIZE, PICTURE_SIZE))
    return PicturePairs(preprocessing, side=PARTS_PER_SIDE, seed=seed, num_pictures=num_pictures)


def test_two_pictures_of_a_pair_are_of_one_yard_and_mostly_alike_in_what_they_show():
    pictures = [_pairs(80)[index] for index in range(80)]
    batch = collate_pairs(pictures)
    apart = (batch.contents[0::2] - batch.contents[1::2]).abs().sum(1)
    others = (batch.contents[0:-2:2] - batch.contents[2::2]).abs().sum(1)
    assert torch.nanmedian(apart) < torch.nanmedian(others)
    assert (apart == 0).any()
    assert (apart > 0).any()
    is_foreign = batch.contents.isnan().all(1)
    assert 0 < is_foreign.sum() < 15
    assert not batch.grid[is_foreign].any()
    assert batch.planes.shape == (80, 3, PICTURE_SIZE, PICTURE_SIZE)


def test_most_pictures_show_something_hard_to_see():
    batch = collate_pairs([_pairs(120)[index] for index in range(120)])
    hard = [place for place, (kind, _) in enumerate(NAMED) if kind in HARD_TO_SEE]
    shows_one = (batch.contents[:, hard].nan_to_num() > 0).any(1)
    assert shows_one.float().mean() > 0.5


def test_a_picture_is_the_same_when_drawn_again():
    one, again = _pairs(8)[5], _pairs(8)[5]
    assert torch.equal(one.planes, again.planes)
    assert torch.equal(one.contents, again.contents)


def test_contents_count_what_differs():
    world = World(FIRST_TRAINING_SEED)
    state = world.state_at(1_795_262_400.0)
    contents = contents_of(state)
    assert contents.shape == (NUM_CONTENTS,)
    assert contents[:-NUM_SWITCHES].sum() == len(state.things)


def test_the_label_grid_has_one_mark_per_thing():
    rng = np.random.default_rng(4)
    for _ in range(100):
        world, time_seconds = draw_scene(rng)
        state = world.state_at(time_seconds)
        grid = label_grid(state, 4)
        assert grid.shape == (16, NUM_CONTENTS)
        assert grid[:, :-NUM_SWITCHES].sum() >= len(set(state.named())) > 0 or not state.things


def test_the_loss_is_nothing_where_likeness_is_as_contents_make_it_and_ignores_what_is_no_yard():
    angle = torch.acos(torch.tensor(LIKENESS_OF_ONE))
    tokens = torch.tensor([[[1.0, 0.0]], [[angle.cos(), angle.sin()]], [[0.3, 0.7]], [[-1.0, 0.2]]])
    contents = torch.zeros(4, NUM_CONTENTS)
    contents[1, 0] = 1.0
    contents[2:] = torch.nan
    tokens.requires_grad_()
    loss = likeness_loss(tokens, contents)
    assert loss.item() < 1e-9
    loss.backward()
    assert not tokens.grad.isnan().any()
    contents[1, 0] = 0.0
    assert likeness_loss(tokens, contents).item() > 0.05
