"""Fetching a checkpoint from a hub of our own: told, resumed, taken without a network, and refused in a sentence."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import shutil
from pathlib import Path

import pytest

from llm.errors import ModelLoadError
from llm.fetching import fetch, fetched, missing
from llm.huggingface import BUNDLED_FOLDER
from tests.rig.hub import COMMIT, Hub, serve
from tests.rig.servers import free_port

NAME = "someone/tiny"
WEIGHT_BYTES = (BUNDLED_FOLDER / "model.safetensors").stat().st_size
CHUNK_BYTES = 10 * 1024 * 1024
"""What the hub's client writes at once; of a smaller rest that broke off nothing is kept."""


@pytest.fixture
def hub(tmp_path):
    """One that has the bundled checkpoint, whose weights are larger than what is written at once."""
    folder = tmp_path / "hub"
    shutil.copytree(BUNDLED_FOLDER, folder)
    (folder / "pytorch_model.bin").write_bytes(b"not wanted")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_bytes(b"not wanted")
    with serve(Hub(folder)) as running:
        yield running


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


class _Bar:
    """Keeps what it is told."""

    def __init__(self):
        self.name, self.total, self.come = "", 0, []

    @contextlib.contextmanager
    def __call__(self, name, total_bytes, here_bytes):
        self.name, self.total, self.come = name, total_bytes, [here_bytes]
        yield self.come.append


def _fails(message, name=NAME, **named):
    with pytest.raises(ModelLoadError, match=message) as failure:
        fetch(name, **named)
    assert "\n" not in str(failure.value)


def test_a_checkpoint_is_told_fetched_and_then_taken_without_a_network(hub, cache, caplog):
    caplog.set_level(logging.INFO, "llm")
    bar = _Bar()
    folder = fetch(NAME, bar=bar, endpoint=hub.url, cache_folder=cache)
    assert missing(folder) is None
    for file in ("config.json", "tokenizer.json", "chat_template.jinja", "longwatch.json", "model.safetensors"):
        assert (folder / file).read_bytes() == (BUNDLED_FOLDER / file).read_bytes()
    assert not {"pytorch_model.bin", "onnx/config.json", "README.md"} & {path for path, _ in hub.gets}
    assert caplog.messages[0] == f"{NAME}: 11 MB to fetch, 0 MB are here"
    assert (bar.name, sum(bar.come)) == (NAME, bar.total)

    asked = hub.num_requests
    assert fetch(NAME, endpoint=hub.url, cache_folder=cache) == folder
    assert fetched(NAME, cache_folder=cache) == folder == fetched(f"{NAME}@{COMMIT}", cache_folder=cache)
    assert hub.num_requests == asked


def test_what_breaks_off_goes_on_where_it_was(hub, cache):
    hub.cut_after = [CHUNK_BYTES + 300_000]
    bar = _Bar()
    fetch(NAME, bar=bar, endpoint=hub.url, cache_folder=cache)
    assert [wanted for path, wanted in hub.gets if path == "model.safetensors"] == [None, f"bytes={CHUNK_BYTES}-"]
    assert sum(bar.come) == bar.total


def test_what_was_given_up_goes_on_where_it_was_at_the_next_try(hub, cache, caplog):
    with pytest.raises(KeyboardInterrupt):
        fetch(NAME, bar=_interrupting, endpoint=hub.url, cache_folder=cache)
    assert fetched(NAME, cache_folder=cache) is None
    caplog.set_level(logging.INFO, "llm")
    bar = _Bar()
    folder = fetch(NAME, bar=bar, endpoint=hub.url, cache_folder=cache)
    first, second = [wanted for path, wanted in hub.gets if path == "model.safetensors"]
    assert (first, second) == (None, f"bytes={CHUNK_BYTES}-")
    assert caplog.messages[0] == f"{NAME}: 1 MB to fetch, 11 MB are here"
    assert sum(bar.come) == bar.total
    assert (folder / "model.safetensors").read_bytes() == (BUNDLED_FOLDER / "model.safetensors").read_bytes()


@contextlib.contextmanager
def _interrupting(*_):
    """Ctrl-C once the first part of the weights is on the disk."""

    def advance(num_bytes):
        if num_bytes < CHUNK_BYTES and advance.has_begun:
            raise KeyboardInterrupt
        advance.has_begun |= num_bytes == CHUNK_BYTES

    advance.has_begun = False
    yield advance


def _part(hub, cache):
    """Where the weights lie while they come."""
    (digest,) = [file["lfs"]["sha256"] for file in hub.info["siblings"] if "lfs" in file]
    part = cache / "models--someone--tiny" / "blobs" / f"{digest}.part"
    part.parent.mkdir(parents=True)
    return part


def test_damaged_weights_are_thrown_away_and_fail(hub, cache):
    part = _part(hub, cache)
    part.write_bytes(b"x" * 1000)
    _fails("arrived damaged and was thrown away; start again", endpoint=hub.url, cache_folder=cache)
    assert not part.exists()
    fetch(NAME, endpoint=hub.url, cache_folder=cache)


def test_two_processes_do_not_fetch_the_same_and_the_second_fails(hub, cache):
    part = _part(hub, cache)
    with part.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _fails("is being fetched by another process", endpoint=hub.url, cache_folder=cache)


def test_without_a_network_it_fails_with_how_to_fetch_it_elsewhere(cache):
    _fails(
        "nothing of it is here: try again, or run `hf download someone/tiny --local-dir tiny` where there is a network",
        endpoint=f"http://127.0.0.1:{free_port()}",
        cache_folder=cache,
    )


def test_a_hub_that_fails_midway_is_told_with_what_is_here(hub, cache):
    hub.status = 503
    _fails("hub answers 503; 0 MB of it are here, and it goes on from there", endpoint=hub.url, cache_folder=cache)
    assert fetched(NAME, cache_folder=cache) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("someone/else", "is not on the hub, or is private: check the name, or set HF_TOKEN"),
        ("someone/tiny@v9", "'someone/tiny' has no revision 'v9' on the hub"),
        ("some--one/tiny", "is no name on a hub"),
        ("tiny", "expected OWNER/NAME or OWNER/NAME@REVISION"),
    ],
)
def test_what_the_hub_does_not_have_fails(hub, cache, name, message):
    _fails(message, name, endpoint=hub.url, cache_folder=cache)


def test_a_gated_checkpoint_fails_with_what_to_do(hub, cache):
    hub.is_gated = True
    _fails("is gated: accept its terms on its page at the hub, then set HF_TOKEN", endpoint=hub.url, cache_folder=cache)


def test_weights_that_may_run_code_are_refused_before_anything_is_fetched(hub, cache):
    (hub.folder / "model.safetensors").unlink()
    _fails("is not fetched: its weights are no safetensors", endpoint=hub.url, cache_folder=cache)
    assert hub.gets == []


def test_a_repository_without_a_checkpoint_fails(hub, cache):
    (hub.folder / "config.json").unlink()
    _fails("has no config.json on the hub", endpoint=hub.url, cache_folder=cache)


def test_a_disk_that_is_too_small_fails_before_anything_is_fetched(hub, cache):
    hub.claimed["model.safetensors"] = 10**15
    _fails("needs 1000000.0 GB more on the disk of .*; make room, or set HF_HOME", endpoint=hub.url, cache_folder=cache)
    assert hub.gets == []


def test_a_cache_that_cannot_be_written_fails(hub, tmp_path):
    (tmp_path / "file").write_text("no folder")
    _fails("cannot be written to .* set HF_HOME to another folder", endpoint=hub.url, cache_folder=tmp_path / "file")


def test_what_a_folder_lacks_is_named(tmp_path):
    assert "config.json is missing" in str(missing(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert "its tokenizer is missing (tokenizer.json or" in str(missing(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "its image processor is missing" in str(missing(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text("{}")
    assert missing(tmp_path) == "model.safetensors is missing"
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert "others can run code" in str(missing(tmp_path))
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    assert missing(tmp_path) == "model.safetensors.index.json is broken"
    index = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    (tmp_path / "model.safetensors.index.json").write_text(index)
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"")
    assert missing(tmp_path) == "1 of 2 weight files are missing, model-00002-of-00002.safetensors first"
    Path(tmp_path / "model-00002-of-00002.safetensors").write_bytes(b"")
    assert missing(tmp_path) is None
