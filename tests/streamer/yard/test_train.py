"""All of the training, in the small: from nothing to a checkpoint that can be asked."""

import shutil

from rich.progress import Progress
from safetensors.torch import load_file
from torch import nn

from llm.huggingface import BUNDLED_FOLDER, load
from streamer.yard.checkpoint import PICTURE_SIZE
from streamer.yard.digest import DigestHelper
from streamer.yard.exam import answer_to
from streamer.yard.fingerprint import fingerprint, stamped
from streamer.yard.histories import load_history
from streamer.yard.train import BATCH_SIZE, PICTURES_EVERY_STEPS, begin_with, main, save_words, see
from tests.conftest import REPO

WORDS = REPO / "training" / "words.safetensors"


def test_it_trains_from_nothing_and_goes_on_where_it_was_stopped(tmp_path, capsys):
    folder, state = tmp_path / "checkpoint", tmp_path / "state"
    state.mkdir()
    with Progress() as progress:
        see(folder, state, BATCH_SIZE, "cpu", 0, progress)
    words = (folder / "tokenizer.json").read_text()
    first = load(str(folder), device="cpu").model.state_dict()
    capsys.readouterr()

    main(
        folder,
        state,
        num_pictures=2 * BATCH_SIZE,
        num_histories=2,
        num_steps=PICTURES_EVERY_STEPS + 1,
        device="cpu",
        num_workers=0,
    )
    told = capsys.readouterr().out
    assert "step 2: parts" in told
    assert "step 1: parts" not in told
    assert f"step {PICTURES_EVERY_STEPS + 1}: words" in told
    assert (folder / "tokenizer.json").read_text() == words
    assert stamped(folder) == fingerprint(folder)
    assert sorted(path.name for path in state.iterdir()) == ["histories"]

    trained = load(str(folder), device="cpu")
    last = trained.model.state_dict()
    changed = {name.split(".")[1] for name in first if name.startswith("model.") and not first[name].equal(last[name])}
    assert changed == {"vision_model", "connector", "text_model"}
    assert trained.encoder.preprocessing.height == PICTURE_SIZE
    snapshot = load_history(state / "histories" / "00000.pt")[0]
    assert isinstance(answer_to(trained, snapshot.evidence, "Is the gate open?"), str)


def test_it_goes_on_with_the_words_of_another_run_and_keeps_its_eyes(tmp_path):
    """With those that are kept here: one layer more than the bundled checkpoint has, and its eyes."""
    folder, state = tmp_path / "checkpoint", tmp_path / "state"
    shutil.copytree(BUNDLED_FOLDER, folder)
    kept = load_file(WORDS)
    eyes = load(str(folder), device="cpu").model.state_dict()
    begin_with(WORDS, folder)
    begun = load(str(folder), device="cpu")
    assert begun.model.config.text_config.num_hidden_layers == 7
    for name, value in begun.model.state_dict().items():
        if "vision_model" in name or "connector" in name:
            assert value.equal(eyes[name]), name
        else:
            assert value.half().equal(kept[f"model.{name}"]), name
    learner = nn.ModuleDict({"model": begun.model, "digest": DigestHelper(begun.encoder.width)})
    learner["digest"].load_state_dict({key[7:]: each for key, each in kept.items() if key.startswith("digest.")})
    save_words(learner, tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert {name: value.shape for name, value in again.items()} == {name: value.shape for name, value in kept.items()}
    assert all(value.equal(kept[name]) for name, value in again.items())

    main(folder, state, num_histories=1, num_steps=1, begin=WORDS, device="cpu", num_workers=0)
    assert load(str(folder), device="cpu").model.config.text_config.num_hidden_layers == 7
