"""From a name to a folder: `auto`, what is too large, what cannot be run, and what is refused before it is fetched."""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil

import pytest
import torch

from llm import choosing, fetching
from llm.choosing import Place, find, judge
from llm.errors import ModelLoadError
from llm.fetching import fetch, no_bar
from llm.huggingface import BUNDLED_FOLDER, load
from llm.presets import PRESETS
from tests.llm.tiny import make_checkpoint
from tests.rig.hub import Hub, serve

CPU = Place(torch.device("cpu"), torch.float32)
GPU = Place(torch.device("cuda:0"), torch.bfloat16)
SMALL = "HuggingFaceTB/SmolVLM2-256M-Video-Instruct"


@pytest.fixture
def room(monkeypatch):
    """`room(gigabytes, host=gigabytes)`: so much is free on a device and on its host; there is no small real GPU."""

    def give(gigabytes, host=None):
        def free(device):
            return int((gigabytes if host is None or device.type != "cpu" else host) * 1e9)

        monkeypatch.setattr(choosing, "free_bytes", free)

    return give


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and an empty cache: its folder."""
    monkeypatch.setattr(fetching.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("place", "gigabytes", "best"),
    [
        (GPU, 78.0, "Qwen/Qwen3-VL-8B-Instruct"),
        (GPU, 16.0, "Qwen/Qwen3-VL-4B-Instruct"),
        (GPU, 8.0, "Qwen/Qwen3-VL-2B-Instruct"),
        (GPU, 3.0, "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"),
        (CPU, 64.0, "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"),
        (CPU, 2.6, "HuggingFaceTB/SmolVLM2-256M-Video-Instruct"),
        (Place(torch.device("cuda:0"), torch.bfloat16, "4bit"), 8.0, "Qwen/Qwen3-VL-4B-Instruct"),
    ],
)
def test_auto_takes_the_best_that_fits_and_says_why(room, place, gigabytes, best):
    room(gigabytes)
    preset = choosing.automatic(place)[0]
    assert preset.name == best
    line = choosing.why_automatic(preset, place)
    assert line.startswith(f"auto: {best} (needs ")
    assert f"of {gigabytes:.1f} GB free on {place.device})" in line
    assert ("too slow on a CPU" in line) == (place is CPU)
    if best != "Qwen/Qwen3-VL-8B-Instruct":
        assert "; not Qwen/Qwen3-VL-8B-Instruct (" in line


def test_auto_fails_where_nothing_fits(room):
    room(0.5)
    with pytest.raises(ModelLoadError, match=r"--model auto: nothing fits into 0\.5 GB free on cpu: Qwen/Qwen3-VL-8B"):
        choosing.automatic(CPU)


def test_auto_without_a_network_takes_the_best_that_is_here(room, offline, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "llm")
    room(64.0)
    with pytest.raises(ModelLoadError, match="SmolVLM2-500M-Video-Instruct' is not whole on this machine"):
        find("auto", CPU, bar=no_bar)
    with serve(Hub(BUNDLED_FOLDER, name=SMALL)) as hub, monkeypatch.context() as online:
        online.setattr(fetching.constants, "HF_HUB_OFFLINE", False)
        fetch(SMALL, endpoint=hub.url, cache_folder=offline)
    name, judged = find("auto", CPU, bar=no_bar)
    assert (name, judged.config.model_type) == (SMALL, "smolvlm")
    assert offline in judged.folder.parents
    assert caplog.messages[0].startswith("auto: HuggingFaceTB/SmolVLM2-500M-Video-Instruct (needs ")
    assert any(f"auto: {SMALL}, which is here, is taken instead" in message for message in caplog.messages)


def test_what_does_not_fit_fails_with_figures_and_what_to_try(room):
    room(7.4)
    preset = next(preset for preset in PRESETS if preset.name == "Qwen/Qwen3-VL-4B-Instruct")
    with pytest.raises(ModelLoadError) as failure:
        choosing._refuse_too_large("x", preset.shape, GPU)
    told = str(failure.value)
    assert told.startswith("model 'x' needs 12.")
    assert "(weights 8.9 GB, a prompt 0.6 GB, memory 1.2 GB, working space " in told
    assert ", and 7.4 GB are free on cuda:0; try --quantize 4bit (" in told
    assert " or --model Qwen/Qwen3-VL-2B-Instruct (" in told


def test_a_preset_that_does_not_fit_fails_without_asking_the_hub(room, offline):
    room(7.4)
    with pytest.raises(ModelLoadError, match=r"'Qwen/Qwen3-VL-8B-Instruct' needs .* and 7\.4 GB are free on cuda:0"):
        find("Qwen/Qwen3-VL-8B-Instruct", GPU, bar=no_bar)
    assert not offline.exists()


@pytest.mark.usefixtures("offline")
def test_without_accelerate_the_host_must_have_room_too(room, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "accelerate" else real(name, *more)
    )
    room(16.0, host=4.0)
    with pytest.raises(ModelLoadError, match=r"cuda:0, .* 4\.3 GB of weights .* 4\.0 GB are free: pip install acc"):
        find("Qwen/Qwen3-VL-2B-Instruct", GPU, bar=no_bar)
    room(16.0, host=5.0)
    with pytest.raises(ModelLoadError, match="the hub cannot be reached"):  # so it would have been fetched
        find("Qwen/Qwen3-VL-2B-Instruct", GPU, bar=no_bar)


def test_more_cameras_than_there_is_memory_for_fail_before_the_weights_are_read(tmp_path):
    folder = make_checkpoint(tmp_path, "smolvlm")
    (folder / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(ModelLoadError, match=r"needs \d+.\d GB .* are free on cpu; free some memory, or watch fewer"):
        load(str(folder), device="cpu", num_cameras=1_000_000)


def test_what_does_not_fit_is_refused_before_its_weights_are_fetched(room, tmp_path):
    room(0.01)
    with serve(Hub(BUNDLED_FOLDER)) as hub:
        with pytest.raises(ModelLoadError, match=r"needs 0\.2 GB"):
            fetch(
                hub.name,
                before_weights=lambda folder: judge(hub.name, folder, CPU),
                endpoint=hub.url,
                cache_folder=tmp_path,
            )
        assert "model.safetensors" not in {path for path, _ in hub.gets}
        assert "tokenizer.json" in {path for path, _ in hub.gets}


def test_code_of_a_checkpoint_is_never_run(tmp_path):
    """Nor is anybody asked whether it may be."""
    shutil.copytree(BUNDLED_FOLDER, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "their_own", "auto_map": {"AutoConfig": "code.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(
        ModelLoadError, match=r"'their_own', which needs code.*never run; families that work: "
    ) as failure:
        load(str(tmp_path), device="cpu")
    assert "\n" not in str(failure.value)


def test_a_folder_with_other_weights_fails_in_one_line(tmp_path):
    shutil.copytree(BUNDLED_FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelLoadError, match="its weights are no safetensors, the only kind that is read"):
        load(str(tmp_path), device="cpu")


def test_a_checkpoint_that_is_stored_quantised_fails_with_what_to_take_instead(tmp_path):
    folder = make_checkpoint(tmp_path, "smolvlm")
    config = json.loads((folder / "config.json").read_text())
    stored = {**config, "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    (folder / "config.json").write_text(json.dumps(stored))
    with pytest.raises(
        ModelLoadError, match=r"stored quantised \(bitsandbytes\).*take the checkpoint that it was made of"
    ):
        load(str(folder), device="cpu")
