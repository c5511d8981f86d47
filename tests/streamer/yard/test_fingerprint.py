"""The shipped checkpoint was trained on what the code does today."""

import shutil
from dataclasses import replace

import pytest

from encoders import Preprocessing
from llm.huggingface import BUNDLED_FOLDER
from memory import LongTermMemory
from streamer.yard import fingerprint as module
from streamer.yard.fingerprint import fingerprint, stamp, stamped


def test_the_checkpoint_fits_the_code():
    assert stamped(BUNDLED_FOLDER) == fingerprint(BUNDLED_FOLDER), "the code has changed: make train"


def test_a_stamp_is_read_back_and_leaves_the_rest_of_the_card(tmp_path):
    for name in ("longwatch.json", "preprocessor_config.json"):
        shutil.copy(BUNDLED_FOLDER / name, tmp_path)
    stamp(tmp_path)
    assert stamped(tmp_path) == fingerprint(tmp_path)
    assert '"knows_only": "demo"' in (tmp_path / "longwatch.json").read_text()


@pytest.mark.parametrize("change", ["memory", "prompt", "preprocessing"])
def test_a_change_of_what_it_learned_from_changes_it(change, monkeypatch):
    before = fingerprint(BUNDLED_FOLDER)
    if change == "memory":
        defaults = {**LongTermMemory.__init__.__kwdefaults__, "keep": 100}
        monkeypatch.setattr(LongTermMemory.__init__, "__kwdefaults__", defaults)
    elif change == "prompt":
        monkeypatch.setattr(module, "CHAT_TEMPLATE", "another")
    else:
        given = Preprocessing.from_folder

        def other(folder, *, size):
            return replace(given(folder, size=size), mean=(0.4, 0.5, 0.5))

        monkeypatch.setattr(module.Preprocessing, "from_folder", other)
    assert fingerprint(BUNDLED_FOLDER) != before
