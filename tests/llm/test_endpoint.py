"""The address of a remote model: what is read from it, and that its key is never shown."""

import pytest

from llm.endpoint import Endpoint
from llm.errors import ModelLoadError


@pytest.mark.parametrize(
    ("text", "base_url", "model", "key"),
    [
        ("openai:http://h:8000/v1#llava", "http://h:8000/v1", "llava", ""),
        ("openai:http://h:8000#llava", "http://h:8000/v1", "llava", ""),
        (
            "openai:https://s3cr3t@api.example/v1/#Qwen/Qwen3-VL-4B",
            "https://api.example/v1",
            "Qwen/Qwen3-VL-4B",
            "s3cr3t",
        ),
        ("openai:http://me:s3cr3t@[::1]:9/v1#m@main", "http://[::1]:9/v1", "m@main", "s3cr3t"),
        ("openai:http://s3%23c%2Fr3t@h/v1#m", "http://h/v1", "m", "s3#c/r3t"),
    ],
)
def test_an_address_is_read(text: str, base_url: str, model: str, key: str) -> None:
    endpoint = Endpoint.parse(text, environ={})
    assert (endpoint.base_url, endpoint.model, endpoint.key) == (base_url, model, key)


def test_the_key_of_the_environment_is_taken_where_the_address_has_none() -> None:
    environ = {"LONGWATCH_MODEL_KEY": "from-there", "OPENAI_API_KEY": "not-meant"}
    assert Endpoint.parse("openai:http://h/v1#m", environ=environ).key == "from-there"
    assert Endpoint.parse("openai:http://own@h/v1#m", environ=environ).key == "own"
    assert Endpoint.parse("openai:http://h/v1#m", environ={"OPENAI_API_KEY": "not-meant"}).key == ""


def test_nothing_that_may_be_a_key_is_shown() -> None:
    endpoint = Endpoint.parse("openai:http://me:s3%2Fcr3t@h:1/v1?api-key=qu3ry#m", environ={})
    assert str(endpoint) == "openai:http://h:1/v1#m"
    assert endpoint.query == {"api-key": "qu3ry"}
    said = endpoint.redact("bad key s3/cr3t\n at http://me:s3%2Fcr3t@h:1/v1?api-key=qu3ry")
    assert said == "bad key *** at http://me:***@h:1/v1?api-key=***"
    for shown in (repr(endpoint), str(endpoint)):
        assert "cr3t" not in shown
        assert "qu3ry" not in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openai:http://s3cr3t@h/v1", "named after a #"),
        ("openai:#s3cr3t", "named after a #"),
        ("openai:s3cr3t@h/v1#m", "http:// or https://"),
        ("openai:ftp://s3cr3t@h/v1#m", "http:// or https://"),
        ("openai:http://s3cr3t/x@h/v1#m", "percent-encoded"),
        ("openai:http://s3#cr3t@h/v1#m", "percent-encoded"),
        ("openai:http://h:s3cr3t/v1#m", "cannot be read"),
        ("openai:http://#m", "http:// or https://"),
    ],
)
def test_a_wrong_address_fails_without_showing_it(text: str, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message) as caught:
        Endpoint.parse(text, environ={})
    assert "cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None
