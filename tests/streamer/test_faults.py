"""Faults in the program: the traceback once per kind, then a line; bounded, and without the camera's password."""

import pytest

from streamer.faults import MAX_KINDS, Faults
from streamer.secret import SecretUrl

URL = SecretUrl.parse("rtsp://me:hunter2@192.0.2.10/live")


def fault(kind: type[Exception], words: str = "") -> Exception:
    try:
        raise kind(words)
    except kind as error:
        return error


def test_each_kind_of_fault_has_its_traceback_once(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults("front", URL)
    for kind in (ValueError, ValueError, KeyError, ValueError, KeyError):
        faults.tell(fault(kind))

    assert caplog.text.count("Traceback") == 2
    assert len(caplog.records) == 5
    assert all(message.startswith("camera front: a fault in the program") for message in caplog.messages)
    assert "\n" not in caplog.messages[-1]


def test_two_cameras_have_their_own(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("front", "back"):
        Faults(name, URL).tell(fault(ValueError))

    assert caplog.text.count("Traceback") == 2


def test_what_is_remembered_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults("front", URL)
    for index in range(MAX_KINDS + 3):
        faults.tell(fault(type(f"Error{index}", (Exception,), {})))

    assert caplog.text.count("Traceback") == MAX_KINDS


def test_the_password_is_in_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    Faults("front", URL).tell(fault(ValueError, f"cannot open {URL.reveal()} with hunter2"))

    assert "cannot open rtsp://***@192.0.2.10/live" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_password_is_hidden_as_python_writes_it_too(caplog: pytest.LogCaptureFixture) -> None:
    password = "pa'ss\\wo\"rd"
    url = SecretUrl.parse(f"rtsp://me:{password}@192.0.2.10/live")
    faults = Faults("front", url)
    for kind in (ValueError, KeyError):
        faults.tell(fault(kind, url.typed))
        faults.tell(fault(kind, password))
        faults.tell(fault(kind, repr(password)))

    assert "rd@" not in caplog.text
    assert "ss\\" not in caplog.text
    assert "pa'" not in caplog.text


def test_a_fault_that_was_never_raised_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults("front", URL)
    faults.tell(ValueError("one"))
    faults.tell(ValueError("two"))

    assert caplog.messages[-1].endswith("ValueError at an unknown place")
