"""All of the training, in the small: from nothing to a checkpoint that can be asked."""

from rich.progress import Progress

from llm.huggingface import load
from streamer.yard.checkpoint import PICTURE_SIZE
from streamer.yard.exam import answer_to
from streamer.yard.fingerprint import fingerprint, stamped
from streamer.yard.histories import load_history
from streamer.yard.train import BATCH_SIZE, PICTURES_EVERY_STEPS, main, see


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
