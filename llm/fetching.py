"""Brings a checkpoint from the hub to this machine, size told first, resumed where it broke off; it prints nothing."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    validate_repo_id,
)
from huggingface_hub.utils import logging as hub_logging
from tqdm import tqdm

from llm.errors import ModelLoadError
from llm.sizes import gigabytes

log = logging.getLogger(__name__)

HUB_NAME = re.compile(r"(?P<name>[\w-][\w.-]*/[\w.-]+)(@(?P<revision>[\w.-]+))?")
"""OWNER/NAME or OWNER/NAME@REVISION."""
TIMEOUT_SECONDS = 10.0
SPARE_DISK_BYTES = 200_000_000
_SMALL = re.compile(r"[^/]+\.(json|jinja|txt|model)|qformer_tokenizer/[^/]+\.(json|txt)")
_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
_UNSAFE = re.compile(r"[^/]+\.(bin|pt|pth|ckpt|h5|msgpack)")
_UNSAFE_WORDS = "its weights are no safetensors, the only kind that is read: others can run code when they are opened"
_HTTP_ERROR: type[Exception] = next(base for base in HfHubHTTPError.__bases__ if base is not OSError)
"""Of the HTTP library that the hub's client has; which one that is has changed."""

Advance = Callable[[int], object]
"""Takes the bytes that have come; negative where they have to come anew."""
Bar = Callable[[str, int, int], AbstractContextManager[Advance]]
"""`bar(name, total_bytes, here_bytes)` is open while a checkpoint is fetched."""


_BESIDE = {
    "tokenizer": ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model"),
    "image processor": ("preprocessor_config.json", "processor_config.json"),
}
"""Without these beside the weights no picture and no question can be read; other programs may have left them away."""


@contextmanager
def no_bar(_name: str, _total_bytes: int, _here_bytes: int) -> Iterator[Advance]:
    """Shows nothing."""
    yield lambda _num_bytes: None


@dataclass(frozen=True)
class _File:
    """A file on the hub; `sha256` of its content where the hub stores it as a large one, else None."""

    path: str
    num_bytes: int
    sha256: str | None


def fetched(name: str, *, cache_folder: Path | None = None) -> Path | None:
    """The whole checkpoint OWNER/NAME[@REVISION], if it is on this machine; asks no network."""
    found = _snapshot(name, cache_folder)
    return found if found is not None and missing(found) is None else None


def missing(folder: Path) -> str | None:
    """What `folder` lacks to be a whole checkpoint, in a few words; None: nothing."""
    if not (folder / "config.json").is_file():
        return "config.json is missing; give the folder that `hf download` makes"
    for what, names in _BESIDE.items():
        if not any((folder / name).is_file() for name in names):
            return f"its {what} is missing ({' or '.join(names)})"
    if (folder / "model.safetensors").is_file():
        return None
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{index.name} is broken"
        lacking = [shard for shard in shards if not (folder / shard).is_file()]
        return f"{len(lacking)} of {len(shards)} weight files are missing, {lacking[0]} first" if lacking else None
    if any(_UNSAFE.fullmatch(file.name) for file in folder.iterdir()):
        return _UNSAFE_WORDS
    return "model.safetensors is missing"


def fetch(
    name: str,
    *,
    bar: Bar = no_bar,
    before_weights: Callable[[Path], object] = lambda _folder: None,
    endpoint: str | None = None,
    cache_folder: Path | None = None,
) -> Path:
    """The folder of OWNER/NAME[@REVISION], from the hub's cache on this machine, or fetched into it.

    What is here whole is taken without a look at the network: an agent's model never changes by itself. What broke off
    goes on where it was, also in another process. Blocks as long as it takes; a hub silent for 10 s is given up.

    before_weights  called with the folder once all but the weights is in it; may raise

    Raises: ModelLoadError, one line that says what is wrong and what to do.
    """
    if (here := fetched(name, cache_folder=cache_folder)) is not None:
        return here
    repository, revision = _parts(name)
    store = Path(cache_folder or constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        info = HfApi(endpoint=endpoint).model_info(
            repository, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS
        )
        commit = str(info.sha)
        files = _wanted(name, info.siblings or ())
        total = sum(file.num_bytes for file in files)
        here_bytes = sum(_num_here(file, store, commit) for file in files)
        _check_disk(name, total - here_bytes, store)
        log.info("%s: %s to fetch, %s are here", name, gigabytes(total - here_bytes), gigabytes(here_bytes))
        with bar(name, total, here_bytes) as advance:
            counted, has_begun = _counter(advance), False
            for file in files:
                if _WEIGHTS.fullmatch(file.path) and not has_begun:
                    has_begun = True
                    before_weights(store / "snapshots" / commit)
                if file.sha256 is not None:
                    url = hf_hub_url(repository, file.path, revision=commit, endpoint=endpoint)
                    _fetch_blob(name, file, url, store / "blobs", counted)
                hf_hub_download(
                    repository,
                    file.path,
                    revision=revision if file.path == "config.json" else commit,  # so that the revision is remembered
                    endpoint=endpoint,
                    cache_dir=cache_folder,
                    tqdm_class=counted,
                )
    except (_HTTP_ERROR, OSError) as error:
        raise ModelLoadError(_told(name, error, store)) from error
    if (here := fetched(name, cache_folder=cache_folder)) is None:
        raise ModelLoadError(f"model {name!r} changed on the hub while it was fetched; start again")
    log.info("%s is here, in %s", name, here)
    return here


def _parts(name: str) -> tuple[str, str]:
    """OWNER/NAME and the revision."""
    match = HUB_NAME.fullmatch(name)
    try:
        validate_repo_id(match["name"] if match else "")
    except HFValidationError as error:
        raise ModelLoadError(
            f"model {name!r} is no name on a hub; expected OWNER/NAME or OWNER/NAME@REVISION"
        ) from error
    assert match is not None, "an empty name is refused"
    return match["name"], match["revision"] or constants.DEFAULT_REVISION


def _snapshot(name: str, cache_folder: Path | None) -> Path | None:
    """What of it is in the cache, perhaps not whole."""
    repository, revision = _parts(name)
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                cache_dir=cache_folder,
                local_files_only=True,
                allow_patterns=["config.json"],  # whether the others are there is our own judgement
            )
        )
    except OSError:
        return None


def _wanted(name: str, siblings: Sequence[Any]) -> list[_File]:
    """What a checkpoint needs of a repository's files: the small ones first, so that what has its weights is whole.

    Raises: ModelLoadError where it is no checkpoint of transformers with safe weights.
    """
    files = {each.rfilename: _File(each.rfilename, each.size or 0, _sha256(each)) for each in siblings}
    if "config.json" not in files:
        raise ModelLoadError(f"model {name!r} has no config.json on the hub, so it is no checkpoint of transformers")
    weights = [path for path in sorted(files) if _WEIGHTS.fullmatch(path)]
    if not weights:
        why = _UNSAFE_WORDS if any(map(_UNSAFE.fullmatch, files)) else "it has no model.safetensors"
        raise ModelLoadError(f"model {name!r} is not fetched: {why}; look for a conversion of it to safetensors")
    if "model.safetensors" in weights:
        weights = ["model.safetensors"]
    small = [path for path in sorted(files) if _SMALL.fullmatch(path)]
    return [files[path] for path in (*small, *weights)]


def _sha256(sibling: Any) -> str | None:
    large = sibling.lfs
    return None if large is None else str(large.sha256)


def _num_here(file: _File, store: Path, commit: str) -> int:
    """How many bytes of it are on this machine, in a part of it too."""
    if (store / "snapshots" / commit / file.path).is_file():
        return file.num_bytes
    if file.sha256 is None:
        return 0
    blob, part = store / "blobs" / file.sha256, _part_of(store / "blobs" / file.sha256)
    return file.num_bytes if blob.is_file() else part.stat().st_size if part.is_file() else 0


def _part_of(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.part")


def _fetch_blob(name: str, file: _File, url: str, blobs: Path, counted: type[Any]) -> None:
    """Into the cache's own place, from where the hub's client takes it, which itself cannot go on where it stopped.

    Raises: ModelLoadError where another process fetches it, or where it arrives damaged.
    """
    blob = blobs / str(file.sha256)
    if blob.is_file():
        return
    blobs.mkdir(parents=True, exist_ok=True)
    part = _part_of(blob)
    with part.open("ab+") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ModelLoadError(
                f"model {name!r} is being fetched by another process; wait until it is here"
            ) from error
        if blob.is_file():  # another process was done in the meantime
            return
        if out.tell() > file.num_bytes:
            out.truncate(0)
        http_get(
            url,
            out,
            resume_size=out.tell(),
            headers=build_hf_headers(),
            expected_size=file.num_bytes,
            tqdm_class=counted,
        )
        out.flush()
        out.seek(0)
        if hashlib.file_digest(out, "sha256").hexdigest() != file.sha256:
            part.unlink()
            raise ModelLoadError(f"model {name!r}: {file.path} arrived damaged and was thrown away; start again")
        part.rename(blob)


def _counter(advance: Advance) -> type[Any]:
    """A bar of the hub's client that shows nothing and tells how many bytes have come."""

    class Counter(tqdm):  # type: ignore[misc]
        def __init__(self, *_args: Any, **_named: Any) -> None:
            super().__init__(disable=True)

        def update(self, n: float | None = 1) -> None:
            advance(int(n or 0))

    return Counter


def _check_disk(name: str, num_bytes: int, store: Path) -> None:
    there = next(folder for folder in (store, *store.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if num_bytes + SPARE_DISK_BYTES > free:
        raise ModelLoadError(
            f"model {name!r} needs {gigabytes(num_bytes)} more on the disk of {there}, where {gigabytes(free)} are "
            "free; make room, or set HF_HOME to a folder on a larger disk"
        )


def _told(name: str, error: BaseException, store: Path) -> str:
    """In one line: what went wrong on the way, and what to do."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    repository, revision = _parts(name)
    if isinstance(error, GatedRepoError) or status == 403:
        return (
            f"model {name!r} is gated: accept its terms on its page at the hub, then set HF_TOKEN to a token from there"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"model {repository!r} has no revision {revision!r} on the hub"
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return (
            f"model {name!r} is not on the hub, or is private: check the name, or set HF_TOKEN to one that may read it"
        )
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
        return f"model {name!r} cannot be written to {store} ({error.strerror}); set HF_HOME to another folder"
    parts = sum(file.stat().st_size for file in store.glob("blobs/*") if file.is_file())
    here = f"{gigabytes(parts)} of it are here, and it goes on from there" if parts else "nothing of it is here"
    why = f"answers {status}" if status else f"cannot be reached ({type(error.__cause__ or error).__name__})"
    return (
        f"model {name!r} is not whole on this machine and the hub {why}; {here}: try again, or run `hf download "
        f"{repository} --local-dir {repository.partition('/')[2]}` where there is a network and give the folder that "
        "it makes to --model"
    )
