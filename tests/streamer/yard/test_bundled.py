"""The bundled checkpoint is right about yards that it has not seen."""

import cv2
import numpy as np
import pytest

from memory import Memory
from streamer.yard.exam import answer_from, examine, examine_memory
from streamer.yard.lessons import FIRST_TRAINING_SEED
from streamer.yard.questions import NOT_THE_YARD

NUM_WORLDS = 200
BOUNDS = {"now": 0.9, "recent": 0.5, "past": 0.6, "never": 0.7, "unknowable": 0.95}


def test_on_200_unseen_worlds_it_names_what_is_there_and_little_else(bundled):
    assert NUM_WORLDS < FIRST_TRAINING_SEED
    result = examine(bundled, range(NUM_WORLDS), frames_per_world=6, others_per_world=0)
    assert result.num_worlds == NUM_WORLDS
    assert result.num_there > 200
    assert result.precision >= 0.94
    assert result.recall >= 0.9


def test_it_answers_the_other_questions_through_a_filled_memory(bundled):
    result = examine(bundled, range(200, 230), others_per_world=4)
    accuracy = result.accuracy()
    assert accuracy["gate"] >= 0.9
    assert accuracy["lamp"] >= 0.9
    assert accuracy["daylight"] >= 0.9
    assert sum(result.right.values()) / sum(result.asked.values()) >= 0.9


def test_five_minutes_of_memory_are_told_in_wordings_that_were_not_learned(bundled):
    result = examine_memory(bundled, range(300, 330), span_seconds=300, per_class=2, lively=True)
    accuracy = result.accuracy()
    assert min(result.asked[name] for name in BOUNDS) >= 20
    assert not {name: accuracy[name] for name, bound in BOUNDS.items() if accuracy[name] < bound}


@pytest.mark.data
@pytest.mark.parametrize("clip", ["vtest.avi", "visitors.mp4", "tree.avi"])
def test_of_a_real_place_it_says_that_it_is_not_the_yard(bundled, data_folder, clip):
    video = cv2.VideoCapture(str(data_folder / clip))
    now_seconds = 1_795_350_000.0
    memory = Memory(1, num_tokens=bundled.encoder.num_tokens, width=bundled.encoder.width, max_slots=64)
    for index in range(30):
        done, picture = video.read()
        assert done
        if index % 5 == 0:
            (tokens,) = bundled.encoder.encode([np.ascontiguousarray(picture[:, :, ::-1])])
            memory.push(0, tokens, time_seconds=now_seconds + index / 10)
    assert answer_from(bundled, memory, "What is happening?", now_seconds + 3) == NOT_THE_YARD
