"""What servers mean: the same refusal in the words of each, as they stand in their issues and sources."""

import pytest

from llm.errors import RemoteError
from llm.remote_faults import RemoteFault, fault_of_status, told

WORDINGS = [
    # vLLM
    (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", "too_long"),
    (400, "The decoder prompt (length 10127) is longer than the maximum model length of 8192.", "too_long"),
    (400, "At most 1 image(s) may be provided in one request.", "too_long"),
    (400, "max_tokens must be at least 1, got -186.", "too_long"),
    (400, "tiny is not a multimodal model", "no_pictures"),
    (400, "At most 0 image(s) may be provided in one prompt.", "no_pictures"),
    # llama.cpp
    (400, "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it", "too_long"),
    (500, "Context size has been exceeded.", "too_long"),
    (
        500,
        "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
        "no_pictures",
    ),
    (500, 'Failed to parse messages: Unsupported content part type: "image_url"', "no_pictures"),
    (503, "Loading model", "busy"),
    # SGLang
    (400, "The input (61709 tokens) is longer than the model's context length (40960 tokens).", "too_long"),
    (400, "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).", "too_long"),
    # Ollama
    (400, "prompt too long; exceeded max context length by 12 tokens", "too_long"),
    (500, "the input length exceeds the context length", "too_long"),
    (500, "this model is missing data required for image input", "no_pictures"),
    (404, 'model "llava" not found, try pulling it first', "no_model"),
    # hosted
    (400, "Invalid content type. image_url is only supported by certain models.", "no_pictures"),
    (404, "No endpoints found that support image input", "no_pictures"),
    (422, "Failed to deserialize: unknown variant `image_url`, expected `text`", "no_pictures"),
    (
        400,
        "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
        "no_max_tokens",
    ),
    (400, "Unsupported value: 'temperature' does not support 0.0 with this model.", "no_temperature"),
    (429, "Rate limit reached for requests per min", "busy"),
    (429, "Request too large for tokens per min", "too_long"),
    (429, "Too many tokens, please wait before trying again.", "busy"),
    (429, "Too many images per minute", "busy"),
    (401, "Incorrect API key provided", "key"),
    (403, "Forbidden", "key"),
    # what else may come
    (400, "System role not supported", "no_system"),
    (422, "Unexpected fields in the request: {'stream_options'}", "no_usage"),
    (413, "", "too_long"),
    (400, "cannot identify image file", "refused"),
    (500, "Internal Server Error", "failed"),
    (502, "Bad gateway", "failed"),
    (404, "Not Found", "no_model"),
]


@pytest.mark.parametrize(("status", "message", "kind"), WORDINGS)
def test_a_refusal_is_understood(status: int, message: str, kind: str) -> None:
    assert fault_of_status(status, message, {}).kind == kind


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("1.5", 1.5), ("soon", None), ("", None)])
def test_the_wait_that_a_server_asks_for_is_read(value: str, seconds: float | None) -> None:
    assert fault_of_status(429, "slow down", {"retry-after": value}).retry_after_seconds == seconds


def test_a_date_that_is_over_asks_for_no_wait() -> None:
    fault = fault_of_status(503, "", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert fault.retry_after_seconds == 0.0


def test_each_fault_is_told_with_what_to_do() -> None:
    fault = fault_of_status(404, "no such model", {})
    error = told(fault, "openai:http://h/v1#m", has_key=False, key_variable="KEY", models=["a", "b"])
    assert isinstance(error, RemoteError)
    assert "it has: a, b; give" in str(error)
    assert "set KEY" in str(told(RemoteFault("key", "(401)"), "m", has_key=False, key_variable="KEY"))
    assert "put the right one into KEY" in str(told(RemoteFault("key", "(401)"), "m", has_key=True, key_variable="KEY"))
    assert "ask again in 30 s" in str(told(RemoteFault("busy", "(429)", 30.0), "m", has_key=True, key_variable="KEY"))
    assert "refuses the question (418)" in str(
        told(RemoteFault("refused", "(418)"), "m", has_key=True, key_variable="K")
    )
