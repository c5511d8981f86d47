"""What the checkpoint is taught covers the world, the seldom things too."""

from collections import Counter

import numpy as np

from streamer.yard.lessons import NUM_LABELS, draw_exchanges, draw_state, label_grid
from streamer.yard.world import RARE_KINDS


def test_drawn_states_hold_few_things_mostly_some_and_now_and_then_a_rare_one():
    rng = np.random.default_rng(3)
    states = [draw_state(rng) for _ in range(600)]
    counts = Counter(len(state.things) for state in states)
    kinds = Counter(kind for state in states for kind, _ in state.named())
    assert 0.03 < counts[0] / 600 < 0.4
    assert sum(count for num, count in counts.items() if num >= 2) / 600 > 0.3
    assert all(kinds[kind] > 3 for kind in RARE_KINDS)


def test_the_label_grid_has_one_mark_per_thing():
    rng = np.random.default_rng(4)
    for _ in range(100):
        state = draw_state(rng)
        grid = label_grid(state, 4)
        assert grid.shape == (16, NUM_LABELS)
        assert grid[:, :-3].sum() >= len(set(state.named())) > 0 or not state.things
        assert len(draw_exchanges(state, rng, is_foreign=False)) == 3
