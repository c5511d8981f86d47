"""A remote model against `transformers serve`, and against a stand-in for what a real server shows only by accident."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm.budget import Limits
from llm.endpoint import Endpoint
from llm.errors import BudgetError, LanguageModelError, NoNoteError, RemoteError
from llm.huggingface import HuggingFaceModel
from llm.openai_api import MAX_PICTURES, RemoteModel
from llm.prompt import NOTE_REQUEST
from llm.remote_connection import Patience
from memory import Evidence, Reach
from streamer.backoff import Backoff
from streamer.picture import encode_jpeg
from tests.llm.test_remote_prompt import evidence_of
from tests.llm.tiny_served import PICTURE_TOKENS, make_seeing_checkpoint, make_text_checkpoint
from tests.rig.servers import free_port
from tests.rig.serving import (
    Reply,
    ServingProcess,
    chatters,
    hangs,
    hangs_up,
    refuses,
    refuses_more_pictures_than,
    says,
    stand_in,
    transformers_serve,
)

REACH = Reach(0.0, 0.0, 0)
QUESTION = "What is in the yard now?"
SOON = Patience(connect=5, list_models=10, first_token=10, between_tokens=2, total=10, lost=1, answer=20)
Make = Callable[..., RemoteModel]


@pytest.fixture
async def make(bundled: HuggingFaceModel) -> AsyncIterator[Make]:
    """`make(address)` makes a model that is closed when the test ends."""
    made: list[RemoteModel] = []

    def model(address: str, *, limits: Limits | None = None, patience: Patience = SOON) -> RemoteModel:
        made.append(
            RemoteModel(
                Endpoint.parse(address, environ={}),
                encoder=bundled.encoder,
                device=bundled.device,
                dtype=bundled.dtype,
                pauses=partial(Backoff, first_seconds=0.05, cap_seconds=0.2),
                limits=limits,
                patience=patience,
            )
        )
        return made[-1]

    yield model
    for one in made:
        await one.close()


@asynccontextmanager
async def kept(model: RemoteModel) -> AsyncIterator[None]:
    """The connection is kept while the block runs."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(model.keep_connected())
        yield
        task.cancel()


async def until(condition: Callable[[], bool], *, within_seconds: float = 60.0) -> None:
    async with asyncio.timeout(within_seconds):
        while not condition():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.02)


def evidence(num_slots: int = 2) -> Evidence:
    rng = np.random.default_rng(3)
    return evidence_of([encode_jpeg(rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)) for _ in range(num_slots)])


async def said(
    model: RemoteModel, *, of: Evidence | None = None, question: str = QUESTION, max_new_tokens: int = 12
) -> str:
    steps = model.answer(of or evidence(), question, camera="yard", max_new_tokens=max_new_tokens)
    async with aclosing(steps):
        return "".join([piece.text async for piece in steps])


# --- a real server


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_seeing_checkpoint(tmp_path_factory.mktemp("seeing"))


@pytest.fixture(scope="module")
def text_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_text_checkpoint(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProcess]:
    with transformers_serve(tmp_path_factory.mktemp("serve")) as server:
        yield server


PATIENT = Patience(first_token=60, total=90)


async def test_a_real_server_reads_pictures_and_its_answer_streams(
    make: Make, real: ServingProcess, seeing: Path
) -> None:
    model = make(f"openai:{real.url}#{seeing}", patience=PATIENT)
    pieces = [piece async for piece in model.answer(evidence(3), QUESTION, camera="yard", max_new_tokens=12)]
    assert len(pieces) > 6
    assert all(piece.is_token for piece in pieces)
    assert "".join(piece.text for piece in pieces).strip()
    without = make(f"openai:{real.url}#{seeing}", patience=PATIENT)
    await said(without, of=evidence_of([b""] * 3))
    assert model.budget.num_calls == without.budget.num_calls == 1
    num_picture_tokens = model.budget.num_tokens - without.budget.num_tokens
    assert abs(num_picture_tokens - 3 * PICTURE_TOKENS) <= 3 * 4  # a tokenizer joins what no picture keeps apart


async def test_a_real_server_answers_the_same_twice_and_otherwise_of_other_pictures(
    make: Make, real: ServingProcess, seeing: Path
) -> None:
    model = make(f"openai:{real.url}#{seeing}", patience=PATIENT)
    white = evidence_of([encode_jpeg(np.full((90, 160, 3), 255, np.uint8))] * 2)
    first, second, other = await said(model), await said(model), await said(model, of=white)
    assert first == second
    assert first != other


async def test_a_real_server_with_a_model_of_text_is_sent_captions_and_notes(
    make: Make, real: ServingProcess, text_only: Path
) -> None:
    model = make(f"openai:{real.url}#{text_only}", patience=PATIENT)
    assert await said(model, of=evidence_of([b"", b""], ["A red car.", "Nothing."]))


async def test_of_a_real_server_whose_model_cannot_see_it_is_told_once(
    make: Make, real: ServingProcess, text_only: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It drops pictures without a word."""
    model = make(f"openai:{real.url}#{text_only}", patience=PATIENT)
    for _ in range(2):
        await said(model, of=evidence(16))
    told = [line.getMessage() for line in caplog.records if "does not seem to see" in line.getMessage()]
    assert len(told) == 1
    assert "16 pictures" in told[0]


async def test_a_real_server_that_comes_after_the_agent_is_found_and_one_that_is_killed_is_told(
    make: Make, tmp_path: Path, text_only: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="llm")
    port = free_port()
    model = make(f"openai:http://127.0.0.1:{port}/v1#{text_only}", patience=Patience(total=60, lost=1))
    async with kept(model):
        await until(lambda: model.usage.is_up is False)
        began = time.monotonic()
        with pytest.raises(RemoteError, match=r"cannot be reached .*is the server running"):
            await said(model)
        assert time.monotonic() - began < 10
        with await asyncio.to_thread(_Started, transformers_serve(tmp_path, port=port)) as server:
            await until(lambda: model.usage.is_up is True)
            assert await said(model)
            steps = model.answer(evidence(), QUESTION, camera="yard", max_new_tokens=4000)
            for _ in range(3):
                await anext(steps)
            server.kill()
            with pytest.raises(RemoteError, match="broke off in the midst of the answer"):
                _ = [piece async for piece in steps]
            await until(lambda: model.usage.is_up is False)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("llm")]
    assert len(lines) == 3
    assert "tried again for ever" in lines[0]
    assert lines[1].endswith("the server answers")
    assert "tried again for ever" in lines[2]


class _Started:
    """Enters where it is made, a thread, and leaves where the block ends."""

    def __init__(self, context: AbstractContextManager[ServingProcess]) -> None:
        self._context = context
        self._server = context.__enter__()

    def __enter__(self) -> ServingProcess:
        return self._server

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)


# --- faults


async def test_what_is_asked_for_is_greedy_counted_and_about_the_pictures(make: Make) -> None:
    async with stand_in(says("A ", "white", " car.", usage=(700, 3))) as server:
        model = make(server.address(user_info="user:s3cr3t"))
        assert await said(model) == "A white car."
    (request,) = server.requests
    assert request.body["model"] == "tiny"
    assert request.body["stream"] is True
    assert request.body["temperature"] == 0
    assert request.body["max_tokens"] == 12
    assert request.headers["authorization"] == "Bearer s3cr3t"
    assert len(request.pictures) == 2
    assert request.text.endswith(QUESTION)
    assert (model.budget.num_calls, model.budget.num_tokens) == (1, 703)


async def test_a_server_that_counts_no_tokens_for_pictures_is_told_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A text model that drops them without a word."""
    of = evidence(8)
    async with stand_in(says("I see.", usage=(300, 3)), says("I see.", usage=(300, 3))) as server:
        model = make(server.address())
        assert [await said(model, of=of), await said(model, of=of)] == ["I see.", "I see."]
    assert caplog.text.count("counted 300 tokens for a question with 8 pictures") == 1
    caplog.clear()
    async with stand_in(says("I see.", usage=(300 + 8 * 64, 3))) as server:
        assert await said(make(server.address()), of=of) == "I see."
    assert "counted" not in caplog.text


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400}),
        (400, {"error": {"code": 400, "message": "request (4390 tokens) exceeds the available context size (4096)"}}),
        (400, {"error": {"message": "too much", "code": "context_length_exceeded", "type": "invalid_request_error"}}),
        (400, {"error": {"message": "prompt too long; exceeded max context length by 12 tokens"}}),
        (413, {"error": {"message": "payload"}}),
    ],
)
async def test_pictures_that_do_not_fit_are_halved_and_the_number_is_remembered(
    make: Make, status: int, body: dict[str, Any]
) -> None:
    async with stand_in(refuses_more_pictures_than(5, status, body)) as server:
        model = make(server.address())
        assert model.max_slots(QUESTION, camera="yard", reach=REACH) == MAX_PICTURES
        sixteen = evidence(16)
        assert await said(model, of=sixteen) == "It fits."
        assert [len(request.pictures) for request in server.requests] == [16, 8, 4]
        assert server.requests[2].pictures == server.requests[0].pictures[-4:]  # the newest
        assert model.max_slots(QUESTION, camera="yard", reach=REACH) == 4
        assert await said(model, of=sixteen) == "It fits."
        assert len(server.requests) == 4


async def test_a_question_that_fits_nowhere_is_told(make: Make) -> None:
    full = refuses(400, {"error": {"message": "maximum context length is 10 tokens"}})
    async with stand_in(full) as server:
        with pytest.raises(RemoteError, match=r"no room for the question .*ask a shorter one"):
            await said(make(server.address()))
        assert [len(request.pictures) for request in server.requests] == [2, 1, 0]


async def test_a_server_that_takes_no_pictures_gets_captions_and_that_is_logged_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="llm.openai_api")
    blind = refuses_more_pictures_than(0, 500, {"error": {"message": "image input is not supported"}})
    async with stand_in(blind) as server:
        model = make(server.address())
        assert await said(model) == "It fits."
        assert await said(model) == "It fits."
        assert [len(request.pictures) for request in server.requests] == [2, 0, 0]
        assert model.max_slots(QUESTION, camera="yard", reach=REACH) == MAX_PICTURES
        with pytest.raises(NoNoteError):
            await said(model, question=NOTE_REQUEST)
    assert [record.getMessage().count("captions and notes but no pictures") for record in caplog.records] == [1]


@pytest.mark.parametrize(
    ("message", "key", "value"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_completion_tokens", 12),
        ("'temperature' does not support 0 with this model", "temperature", None),
        ("unknown field stream_options", "stream_options", None),
    ],
)
async def test_what_a_server_does_not_know_is_left_out(make: Make, message: str, key: str, value: object) -> None:
    async with stand_in(refuses(400, {"error": {"message": message}}), says("Yes.")) as server:
        assert await said(make(server.address())) == "Yes."
        assert server.requests[-1].body.get(key) == value


async def test_a_template_without_a_system_role_gets_it_with_the_question(make: Make) -> None:
    async with stand_in(refuses(400, {"error": {"message": "System role not supported"}}), says("Yes.")) as server:
        assert await said(make(server.address())) == "Yes."
    assert [message["role"] for message in server.requests[-1].body["messages"]] == ["user"]


@pytest.mark.parametrize("fault", [refuses(500, "oops"), refuses(503, "Loading model"), hangs_up])
async def test_what_may_pass_is_tried_again(make: Make, fault: Reply) -> None:
    async with stand_in(fault, fault, says("Now.")) as server:
        assert await said(make(server.address())) == "Now."
        assert len(server.requests) == 3


async def test_a_server_that_fails_again_and_again_is_told_after_a_few_tries(make: Make) -> None:
    async with stand_in(refuses(500, {"error": {"message": "out of memory"}})) as server:
        with pytest.raises(RemoteError, match=r"failed \(500: out of memory\); see the server's own log"):
            await said(make(server.address()))
        assert len(server.requests) == 4


async def test_a_busy_server_is_given_the_time_that_it_asks_for(make: Make) -> None:
    async with stand_in(refuses(429, {}, headers={"retry-after": "1"}), says("Now.")) as server:
        began = time.monotonic()
        assert await said(make(server.address())) == "Now."
        assert time.monotonic() - began >= 1


async def test_a_wait_that_is_too_long_is_told_at_once(make: Make) -> None:
    async with stand_in(refuses(429, {}, headers={"retry-after": "600"})) as server:
        began = time.monotonic()
        with pytest.raises(RemoteError, match=r"is busy .*ask again in 600 s"):
            await said(make(server.address()))
        assert time.monotonic() - began < 5


async def test_a_server_that_cannot_be_reached_is_tried_until_the_time_is_up(make: Make) -> None:
    model = make(f"openai:http://127.0.0.1:{free_port()}/v1#tiny", patience=Patience(total=2))
    began = time.monotonic()
    with pytest.raises(RemoteError, match="cannot be reached"):
        await said(model)
    assert 1 < time.monotonic() - began < 10
    assert model.budget.num_calls == 0


async def test_where_the_last_try_is_cut_short_what_failed_before_is_told(make: Make) -> None:
    async with stand_in(refuses(503, "Loading model"), hangs) as server:
        with pytest.raises(RemoteError, match=r"is busy .*Loading model"):
            await said(make(server.address(), patience=Patience(total=2)))
        assert len(server.requests) == 2


@pytest.mark.parametrize("late", [says("late", first_pause_seconds=30), hangs])
async def test_no_word_in_time_is_told(make: Make, late: Reply) -> None:
    async with stand_in(late) as server:
        with pytest.raises(RemoteError, match=r"gave no answer \(no word within 2 s\)"):
            await said(make(server.address(), patience=Patience(first_token=2)))
        await asyncio.wait_for(server.broken_off.wait(), 10)


async def test_a_stall_between_words_is_told(make: Make) -> None:
    async with stand_in(says("A ", "car", pause_seconds=20)) as server:
        with pytest.raises(RemoteError, match=r"broke off in the midst of the answer \(no word for 2 s\)"):
            await said(make(server.address()))


async def test_an_answer_that_does_not_end_in_time_is_told(make: Make) -> None:
    async with stand_in(chatters) as server:
        with pytest.raises(RemoteError, match=r"broke off .*not at its end after 1 s"):
            await said(make(server.address(), patience=Patience(answer=1)), max_new_tokens=100_000)


async def test_half_a_stream_is_told(make: Make) -> None:
    async with stand_in(says("A ", "car", finish=None)) as server:
        with pytest.raises(RemoteError, match=r"broke off in the midst .*ended too early"):
            await said(make(server.address()))
        assert len(server.requests) == 1


async def test_an_error_within_a_stream_is_told(make: Make) -> None:
    async with stand_in(says("A ", {"error": {"message": "CUDA out of memory"}})) as server:
        with pytest.raises(RemoteError, match=r"broke off in the midst .*CUDA out of memory"):
            await said(make(server.address()))
    async with stand_in(says({"error": "CUDA out of memory"}), says("Yes.")) as server:
        assert await said(make(server.address())) == "Yes."


@pytest.mark.parametrize("page", [refuses(200, "<html>Welcome</html>"), refuses(200, '{"hello": 1}')])
async def test_what_is_no_such_server_is_told(make: Make, page: Reply) -> None:
    async with stand_in(page) as server:
        with pytest.raises(RemoteError, match=r"does not answer as an OpenAI-compatible server .*/v1"):
            await said(make(server.address()))


async def test_an_unknown_model_is_told_with_those_that_are_there(make: Make) -> None:
    missing = refuses(404, {"error": {"message": "The model `tiny` does not exist."}})
    async with stand_in(missing, models=["llava:7b", "qwen"]) as server:
        with pytest.raises(RemoteError, match=r"is not there .*it has: llava:7b, qwen"):
            await said(make(server.address()))


async def test_a_wrong_key_is_told_at_once_and_never_shown(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = refuses(401, {"error": {"message": "Incorrect API key provided: s3cr3t. You can find yours at ..."}})
    async with stand_in(refusal) as server:
        model = make(server.address(user_info="s3cr3t"))
        with pytest.raises(RemoteError, match=r"does not accept the key .*LONGWATCH_MODEL_KEY") as caught:
            await said(model)
        assert len(server.requests) == 1
    assert server.requests[0].headers["authorization"] == "Bearer s3cr3t"
    for shown in (str(caught.value), repr(model), model.name, caplog.text, str(model.__dict__), str(model.usage)):
        assert "s3cr3t" not in shown


@pytest.mark.parametrize(
    "thinking",
    [
        says({"reasoning_content": "Hm, "}, {"reasoning_content": "a car."}, "A ", "car."),
        says({"reasoning": "Hm."}, "A ", "car."),
        says("<think>", "Hm, a bus", "</think>", "\n\nA ", "car."),
    ],
)
async def test_thoughts_are_kept_out(make: Make, thinking: Reply) -> None:
    async with stand_in(thinking) as server:
        assert await said(make(server.address())) == "A car."


async def test_what_would_steer_a_terminal_is_left_out(make: Make) -> None:
    async with stand_in(says("A \x1b[2Jcar.\n", "Two.\x07"), refuses(400, "\x1b[2Jno")) as server:
        model = make(server.address())
        assert await said(model) == "A [2Jcar.\nTwo."
        with pytest.raises(RemoteError) as caught:
            await said(model)
    assert str(caught.value).isprintable()


async def test_a_model_that_only_thinks_is_given_more_room(make: Make) -> None:
    thinks = says(*[{"reasoning_content": "hm "}] * 12, finish="length")
    async with stand_in(thinks, says("A car.")) as server:
        model = make(server.address())
        assert await said(model) == "A car."
        assert [request.body["max_tokens"] for request in server.requests] == [12, 12 + 1024]


async def test_an_answer_that_is_left_closes_its_stream(make: Make) -> None:
    async with stand_in(chatters) as server:
        steps = make(server.address()).answer(evidence(), QUESTION, camera="yard", max_new_tokens=1000)
        async with aclosing(steps):
            async for piece in steps:
                if piece.text:
                    break
        await asyncio.wait_for(server.broken_off.wait(), 10)


async def test_a_server_that_does_not_stop_is_left_at_the_longest_answer(make: Make) -> None:
    async with stand_in(chatters) as server:
        assert await said(make(server.address()), max_new_tokens=5) == "word " * 5
        await asyncio.wait_for(server.broken_off.wait(), 10)


async def test_the_hour_s_calls_are_a_hard_cap_and_what_is_over_it_is_not_sent(make: Make) -> None:
    async with stand_in(says("Yes.", usage=None)) as server:
        model = make(server.address(), limits=Limits(calls_per_hour=3))
        for _ in range(3):
            await said(model)
        with pytest.raises(BudgetError, match=r"budget of 3 calls is used up; ask again in 60 min"):
            await said(model)
        assert len(server.requests) == 3
        usage = model.usage
        assert (usage.calls, usage.refused, usage.calls_last_hour, usage.calls_per_hour) == (3, 1, 3, 3)
        assert 0 < usage.tokens_last_hour == usage.tokens


async def test_the_hour_s_tokens_are_capped_and_pictures_cost_what_the_server_counted(make: Make) -> None:
    async with stand_in(says("Yes.", usage=(2100, 10))) as server:
        model = make(server.address(), limits=Limits(tokens_per_hour=5000))
        await said(model)
        await said(model)
        with pytest.raises(BudgetError, match="budget of 5,000 tokens"):
            await said(model)
        assert len(server.requests) == 2
        assert model.usage.tokens == 4220


async def test_retries_count_too(make: Make) -> None:
    async with stand_in(refuses(500, "oops")) as server:
        model = make(server.address(), limits=Limits(calls_per_hour=2))
        with pytest.raises(BudgetError):
            await said(model)
        assert len(server.requests) == 2


async def test_a_note_is_one_sentence_about_one_picture_and_waits_for_its_turn(make: Make) -> None:
    async with stand_in(says("A car comes.")) as server:
        model = make(server.address())
        with pytest.raises(NoNoteError):  # nobody knows yet whether the server is there
            await said(model, of=evidence(1), question=NOTE_REQUEST)
        async with kept(model):
            await until(lambda: model.usage.is_up is True)
            assert await said(model, of=evidence(1), question=NOTE_REQUEST) == "A car comes."
            with pytest.raises(NoNoteError):
                await said(model, of=evidence(1), question=NOTE_REQUEST)
            assert await said(model) == "A car comes."
        assert [len(request.pictures) for request in server.requests] == [1, 2]
        assert "at most 20 words" in server.requests[0].text
        assert model.usage.refused == 0


async def test_a_question_in_the_words_of_a_note_is_a_question(make: Make) -> None:
    async with stand_in(says("A car comes.")) as server:
        model = make(server.address())
        assert await said(model, question="".join(NOTE_REQUEST)) == "A car comes."
        assert NOTE_REQUEST in server.requests[0].text
        assert "at most 20 words" not in server.requests[0].text


async def test_a_note_is_never_tried_again(make: Make) -> None:
    async with stand_in(refuses(500, "oops")) as server:
        model = make(server.address())
        async with kept(model):
            await until(lambda: model.usage.is_up is True)
            with pytest.raises(NoNoteError, match="oops"):
                await said(model, of=evidence(1), question=NOTE_REQUEST)
        assert len(server.requests) == 1


async def test_a_server_that_comes_back_is_tried_with_all_pictures_again(make: Make) -> None:
    port = free_port()
    full = refuses_more_pictures_than(1, 400, {"error": {"message": "maximum context length"}})
    model = make(f"openai:http://127.0.0.1:{port}/v1#tiny", patience=Patience(total=1.5, lost=1))
    async with kept(model):
        async with stand_in(full, port=port) as server:
            await until(lambda: model.usage.is_up is True)
            await said(model)
            assert [len(request.pictures) for request in server.requests] == [2, 1]
        with pytest.raises(LanguageModelError):
            await said(model)
        async with stand_in(says("Yes."), port=port) as server:
            await until(lambda: model.usage.is_up is True)
            await said(model)
            assert [len(request.pictures) for request in server.requests] == [2]


async def test_a_server_without_the_model_in_its_list_is_asked_all_the_same(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="llm")
    async with stand_in(says("Yes."), models=["other"]) as server:
        model = make(server.address())
        async with kept(model):
            await until(lambda: model.usage.is_up is True)
            assert await said(model) == "Yes."
    assert any("lists other models: other" in record.getMessage() for record in caplog.records)


async def test_the_keys_of_the_environment_for_another_server_are_not_sent(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "n0t-meant")
    async with stand_in(says("Yes.")) as server:
        assert await said(make(server.address())) == "Yes."
    assert "n0t-meant" not in str(server.requests[0].headers)


def test_importing_the_agent_imports_no_client() -> None:
    import subprocess
    import sys

    code = "import sys, streamer.agent; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
