"""Every family: with nothing merged, we answer from tokens what its own generate() says of the pixels."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
import torch
from transformers import Qwen2VLConfig, VipLlavaConfig

from benchmarks.models.plain import generate
from llm.errors import ModelLoadError
from llm.families import FAMILIES, Family
from llm.huggingface import HuggingFaceModel, load
from llm.prompt import conversation
from memory import Evidence, EvidenceSlot, Memory
from tests.llm.tiny import CONFIGS, LLAMA, SIGLIP, make_checkpoint

NOON = datetime(2026, 11, 22, 12, 0, 0).timestamp()
QUESTION = "What do you see?"
NUM_NEW = 12


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """`checkpoints(name)`: a loaded tiny checkpoint of a family."""
    loaded: dict[str, HuggingFaceModel] = {}

    def get(name: str) -> HuggingFaceModel:
        if name not in loaded:
            folder = make_checkpoint(tmp_path_factory.mktemp("tiny"), name)
            loaded[name] = load(str(folder), device="cpu", dtype=torch.float32)
        return loaded[name]

    return get


def _pictures(count, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (36, 64, 3), dtype=np.uint8) for _ in range(count)]


def _evidence(tokens):
    count = len(tokens)
    times = [NOON - count + 1 + index for index in range(count)]
    slots = tuple(EvidenceSlot("ring", time, time, 1, "", index) for index, time in enumerate(times))
    return Evidence(0, NOON, tokens, slots, (), NOON, 0.0)


def _ours(model, tokens, *, chunk=64):
    """The ids of a greedy answer."""
    ids = torch.tensor(
        [model.prompt_ids(conversation(_evidence(tokens), QUESTION, camera="yard", system=model.system))]
    )
    with torch.inference_mode():
        reading = model.family.reading(ids, model.family.read(tokens, QUESTION))
        *_, logits = reading.chunks(chunk)
        written = [int(logits[0, -1].argmax())]
        while len(written) < NUM_NEW:
            written.append(int(reading.step(written[-1])[0, -1].argmax()))
    return written


def _theirs(model, pictures):
    """The ids that the family writes in its own way: pixels and a prompt into generate()."""
    evidence = _evidence(model.encoder.encode(pictures))
    ids = torch.tensor([model.prompt_ids(conversation(evidence, QUESTION, camera="yard", system=model.system))])
    pixels = model.encoder.preprocessing.apply(pictures, device=model.device, dtype=model.dtype)
    return generate(model, pixels, ids, QUESTION, num_new=NUM_NEW)


@pytest.mark.parametrize("num_pictures", [1, 3, 9])
@pytest.mark.parametrize("name", CONFIGS)
def test_an_answer_from_tokens_equals_generate_from_pixels(checkpoints, name, num_pictures):
    model = checkpoints(name)
    pictures = _pictures(num_pictures)

    assert _ours(model, model.encoder.encode(pictures)) == _theirs(model, pictures)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_it_answers_depends_on_the_pictures(checkpoints, name):
    model = checkpoints(name)
    answers = {tuple(_ours(model, model.encoder.encode(_pictures(2, seed)))) for seed in range(6)}
    assert len(answers) > 2
    assert len({word for answer in answers for word in answer}) > 3


@pytest.mark.parametrize("longest", [1, 7, 30])
@pytest.mark.parametrize("name", CONFIGS)
def test_how_a_prompt_is_cut_into_chunks_changes_nothing(checkpoints, name, longest):
    model = checkpoints(name)
    tokens = model.encoder.encode(_pictures(3))
    assert _ours(model, tokens, chunk=longest) == _ours(model, tokens, chunk=10_000)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_answer_is_what_the_greedy_words_spell(checkpoints, name):
    model = checkpoints(name)
    tokens = model.encoder.encode(_pictures(2))
    pieces = model.answer(_evidence(tokens), QUESTION, camera="yard", max_new_tokens=NUM_NEW)
    words = _ours(model, tokens)
    stop = next((index for index, word in enumerate(words) if word in model._stop_ids), NUM_NEW)
    spelled = model.tokenizer.decode(words[:stop], skip_special_tokens=True)
    assert "".join(piece.text for piece in pieces) == spelled.lstrip().rstrip("\ufffd")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_does_not_change_a_picture_s_tokens(checkpoints, name):
    encoder = checkpoints(name).encoder
    pictures = _pictures(5)
    together = encoder.encode(pictures)
    alone = torch.cat([encoder.encode([picture]) for picture in pictures])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def _merged(model, pictures, *, num_cameras, camera, dtype=torch.float32):
    """Memory of 40 frames of one camera, merged; the others saw something else in between."""
    encoder = model.encoder
    memory = Memory(
        num_cameras,
        num_tokens=encoder.num_tokens,
        width=encoder.width,
        max_slots=12,
        dtype=dtype,
        similarity_width=encoder.similarity_width,
    )
    tokens = encoder.encode(pictures).to(dtype)
    for index in range(40):
        seconds = NOON - 40 + index
        for each in range(num_cameras):
            row = index // 6 if each == camera else -1 - index % 2
            memory.push(each, tokens[row], time_seconds=seconds)
        if index % 5 == 4:
            memory.consolidate([seconds] * num_cameras)
    return memory.recall(camera, now_seconds=NOON, max_slots=12)


@pytest.mark.parametrize("name", CONFIGS)
def test_where_a_camera_lies_in_memory_changes_no_answer(checkpoints, name):
    model, pictures = checkpoints(name), _pictures(9)

    def answered(evidence):
        pieces = model.answer(evidence, QUESTION, camera="yard", max_new_tokens=NUM_NEW)
        return [piece.text for piece in pieces if piece.is_token]

    alone = _merged(model, pictures, num_cameras=1, camera=0)
    among = _merged(model, pictures, num_cameras=3, camera=2)

    assert max(slot.weight for slot in alone.slots) > 1, "nothing was merged"
    assert [slot.weight for slot in alone.slots] == [slot.weight for slot in among.slots]
    assert answered(alone) == answered(among)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_smaller_dtype_of_memory_moves_the_first_word_no_further_than_rounding(checkpoints, name, dtype):
    model = checkpoints(name)
    tokens = model.encoder.encode(_pictures(3))
    ids = torch.tensor(
        [model.prompt_ids(conversation(_evidence(tokens), QUESTION, camera="yard", system=model.system))]
    )

    def first(kept):
        with torch.inference_mode():
            *_, logits = model.family.reading(ids, model.family.read(kept.float(), QUESTION)).chunks(64)
        return logits[0, -1]

    exact = first(tokens)
    moved = (first(tokens.to(dtype)) - exact).abs().mean() / exact.std()
    assert moved <= 40 * torch.finfo(dtype).eps


def test_all_families_are_proven():
    assert {name.split(" ")[0] for name in CONFIGS} == set(FAMILIES)


def test_a_family_that_nobody_knows_works_where_transformers_gives_its_features(tmp_path):
    config = VipLlavaConfig(
        vision_config={**SIGLIP, "model_type": "clip_vision_model", "projection_dim": 24},
        text_config={**LLAMA, "vocab_size": 1024},
        vision_feature_layers=[-1, -2],
    )
    model = load(str(make_checkpoint(tmp_path, "llava", config=config)), device="cpu")
    assert type(model.family) is Family
    pictures = _pictures(3)
    assert _ours(model, model.encoder.encode(pictures)) == _theirs(model, pictures)


def test_a_family_that_does_not_work_by_itself_names_those_that_do(tmp_path):
    config = Qwen2VLConfig(
        text_config={key: value for key, value in LLAMA.items() if key != "model_type"} | {"vocab_size": 1024},
        vision_config={"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "patch_size": 4},
    )
    make_checkpoint(tmp_path, "qwen2_5_vl", config=config)
    with pytest.raises(ModelLoadError, match=r"'qwen2_vl'.*families that work: blip-2, gemma3"):
        load(str(tmp_path), device="cpu")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_second_question_about_the_same_evidence_is_answered_as_if_it_were_the_first(checkpoints, name):
    model = checkpoints(name)
    tokens = model.encoder.encode(_pictures(6))
    others = model.encoder.encode([*_pictures(4), *_pictures(2, seed=9)])

    def answer(tokens, question):
        return "".join(piece.text for piece in model.answer(_evidence(tokens), question, camera="yard"))

    asked = [(tokens, QUESTION), (tokens, "How many are there?"), (others, "How many are there?"), (tokens, QUESTION)]
    after_each_other = [answer(*each) for each in asked]
    by_themselves = []
    for each in asked:
        model._last_reading = None
        by_themselves.append(answer(*each))
    assert after_each_other == by_themselves


@pytest.mark.parametrize("name", ["smolvlm", "qwen3_vl", "blip-2", "gemma3", "blip-2 with t5"])
def test_what_two_prompts_have_in_common_is_read_once(checkpoints, name):
    model = checkpoints(name)
    tokens = model.encoder.encode(_pictures(6))

    def num_chunks(tokens, question):
        return sum(not piece.is_token for piece in model.answer(_evidence(tokens), question, camera="yard"))

    chunk_tokens, model._chunk_tokens, model._last_reading = model._chunk_tokens, 16, None
    try:
        first = num_chunks(tokens, QUESTION)
        again = num_chunks(tokens, "How many are there?")
        others = num_chunks(model.encoder.encode(_pictures(6, seed=8)), QUESTION)
    finally:
        model._chunk_tokens = chunk_tokens
    is_read_anew = name in ("gemma3", "blip-2 with t5")
    before = model.prompt_ids(conversation(_evidence(tokens), QUESTION, camera="yard", system=model.system))
    num_before = before.index(model.image_id)  # the same in all prompts
    assert first - num_before // 16 - 1 <= others <= first
    assert again <= (first + 2 if is_read_anew else first // 3)
    assert is_read_anew or first > 6


@pytest.mark.parametrize("name", ["smolvlm", "qwen3_vl"])
def test_a_note_in_between_and_a_memory_that_went_on_change_no_answer(checkpoints, name):
    model = checkpoints(name)
    memory = Memory(
        1,
        num_tokens=model.encoder.num_tokens,
        width=model.encoder.width,
        similarity_width=model.encoder.similarity_width,
        max_slots=8,
    )
    seen = model.encoder.encode(_pictures(9))

    for number in range(4):
        memory.push(0, seen[number], time_seconds=NOON + number)
    model._last_reading = None
    first = memory.recall(0, now_seconds=NOON + 4, max_slots=8)
    list(model.answer(first, QUESTION, camera="yard"))
    kept = model._last_reading
    list(model.answer(_evidence(seen[:1]), QUESTION, camera="yard"))  # a note
    assert model._last_reading is kept
    memory.push(0, seen[5] * 0.5, time_seconds=NOON + 5)
    after = memory.recall(0, now_seconds=NOON + 5, max_slots=8)
    reused = "".join(piece.text for piece in model.answer(after, QUESTION, camera="yard"))
    model._last_reading = None
    assert reused == "".join(piece.text for piece in model.answer(after, QUESTION, camera="yard"))


def test_an_answer_that_was_broken_off_is_not_gone_on_from(checkpoints):
    model = checkpoints("smolvlm")
    tokens = model.encoder.encode(_pictures(6))
    steps = model.answer(_evidence(tokens), QUESTION, camera="yard")
    next(steps)
    steps.close()
    assert model._last_reading is None
