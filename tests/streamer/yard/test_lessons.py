"""What the checkpoint is taught covers the world, the seldom things too."""

from collections import Counter

import numpy as np

from streamer.yard.lessons import draw_exchanges, draw_foreign_exchanges, draw_scene
from streamer.yard.questions import NOT_THE_YARD
from streamer.yard.world import RARE_KINDS, World


def test_drawn_states_hold_few_things_mostly_some_and_now_and_then_a_rare_one():
    rng = np.random.default_rng(3)
    states = [World.state_at(*draw_scene(rng)) for _ in range(600)]
    counts = Counter(len(state.things) for state in states)
    kinds = Counter(kind for state in states for kind, _ in state.named())
    assert 0.03 < counts[0] / 600 < 0.4
    assert sum(count for num, count in counts.items() if num >= 2) / 600 > 0.3
    assert all(kinds[kind] > 3 for kind in RARE_KINDS)


def test_a_conversation_has_three_questions_of_a_yard_and_of_what_is_none():
    rng = np.random.default_rng(4)
    for _ in range(20):
        world, time_seconds = draw_scene(rng)
        assert len(draw_exchanges(world.state_at(time_seconds), rng)) == 3
        foreign = draw_foreign_exchanges(world, time_seconds, rng)
        assert [exchange.answer for exchange in foreign] == [NOT_THE_YARD] * 3
