"""FFmpeg's errors in a person's words: code, what, where (password hidden), what to do; opens nothing itself."""

import errno
import socket
from pathlib import Path

import av.error

from streamer.errors import CameraError
from streamer.secret import SecretUrl, redact

__all__ = ["check_path", "from_ffmpeg", "is_wrong_transport"]

_TLS_SCHEMES = ("rtsps", "https")
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL)


def check_path(url: SecretUrl) -> Path:
    """The file a camera reads from.

    Raises: CameraError if there is none, or it cannot be read.
    """
    path, file = str(url), Path(url.location).expanduser()
    try:
        if file.is_dir():
            raise CameraError("codec", f"{path} is a folder, not a video; name one file in it")
        if not file.exists():
            advice = (
                "plug the camera in, or list what is there with: ls /dev/video*"
                if path.startswith("/dev/")
                else "check the path"
            )
            raise CameraError("not_found", f"{path} does not exist; {advice}")
        if file.is_file() and file.stat().st_size == 0:
            raise CameraError("codec", f"{path} is empty; a recording that is still being written cannot be read yet")
        with file.open("rb"):
            return file
    except PermissionError as error:
        raise CameraError("refused", f"{path} may not be read by this user; give the right to read it") from error
    except OSError as error:
        raise CameraError("not_found", f"{path} cannot be opened ({error.strerror}); check the path") from error


def is_wrong_transport(error: av.error.FFmpegError) -> bool:
    """True where an RTSP server refused TCP, or UDP, and may take the other: by its status 461, or as a bad request.

    FFmpeg does not say which request a status answers: where it is not about the transport, it costs one more try.
    """
    return error.errno == errno.EPROTONOSUPPORT or isinstance(
        error, av.error.HTTPBadRequestError | av.error.HTTPOtherClientError | av.error.HTTPServerError
    )


def from_ffmpeg(
    error: av.error.FFmpegError, url: SecretUrl, *, while_opening: bool, waited_seconds: float, timeout_seconds: float
) -> CameraError:
    """The error a person can act on.

    `waited_seconds` tells a silent camera, which FFmpeg may call invalid data, from one that sends something else.
    """
    silent = waited_seconds >= 0.9 * timeout_seconds
    network = bool(url.scheme)
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            who = "user and password" if url.user_info else "a user and a password, and the address has none"
            advice = (
                "the camera did not accept them; check them in the address"
                if url.user_info
                else f"write {url.scheme}://USER:PASSWORD@..."
            )
            return CameraError("auth", f"{url} wants {who}: {advice}")
        case av.error.HTTPNotFoundError():
            return CameraError(
                "not_found", f"{url} has no stream at this path; look up the path in the camera's manual"
            )
        case av.error.HTTPOtherClientError() | av.error.HTTPBadRequestError():
            return CameraError(
                "unsupported", f"{url} refuses the request ({_reason(error, url)}); try the camera's other stream"
            )
        case av.error.HTTPError():
            return CameraError(
                "refused", f"{url} cannot serve now ({_reason(error, url)}); is another viewer taking its last place?"
            )
        case av.error.ConnectionRefusedError():
            return CameraError(
                "refused", f"{url} refuses the connection; is the camera on, and are address and port right?"
            )
        case av.error.TimeoutError() | av.error.ExitError():
            return _silence(url, waited_seconds, while_opening=while_opening)
        case av.error.InvalidDataError() if silent and network:
            return _silence(url, waited_seconds, while_opening=while_opening)
        case av.error.InvalidDataError():
            what = "answers, but not with a video stream" if network else "is not a video"
            return CameraError("codec", f"{url} {what} that can be decoded; check that it plays in a video player")
        case av.error.FFmpegError(errno=errno.EINVAL) if network and while_opening:
            return CameraError(
                "unsupported", f"{url} is no kind of stream that is opened from a network; name its video"
            )
        case av.error.DecoderNotFoundError() | av.error.PatchWelcomeError():
            return CameraError(
                "codec",
                f"{url} uses a codec this FFmpeg cannot decode ({_reason(error, url)}); set the camera to H.264",
            )
        case av.error.ProtocolNotFoundError() | av.error.DemuxerNotFoundError():
            return CameraError("unsupported", f"{url} cannot be opened by this FFmpeg ({_reason(error, url)})")
        case av.error.ConnectionResetError() | av.error.BrokenPipeError() | av.error.EOFError():
            return CameraError(
                "lost", f"{url} closed the connection; the camera may be restarting, or have too many viewers"
            )
        case av.error.OSError(errno=errno.EPROTONOSUPPORT):
            return CameraError(
                "unsupported",
                f"{url} refuses this transport; write transport: auto, or turn RTP over TCP on in the camera",
            )
        case av.error.OSError() if network and error.errno in _UNREACHABLE:
            return CameraError(
                "refused", f"{url} cannot be reached ({_reason(error, url)}); is this machine on the camera's network?"
            )
        case av.error.OSError() if network and while_opening:
            return _unexplained_network_error(error, url)
    doing = "could not be opened" if while_opening else "broke off"
    return CameraError("lost", f"{url} {doing} ({_reason(error, url)}); check that it plays in a video player")


def _silence(url: SecretUrl, waited_seconds: float, *, while_opening: bool) -> CameraError:
    what = "does not answer" if while_opening else "stopped sending"
    return CameraError(
        "timeout", f"{url} {what} (waited {waited_seconds:.0f} s); check the camera, its network and the port"
    )


def _unexplained_network_error(error: av.error.FFmpegError, url: SecretUrl) -> CameraError:
    """FFmpeg says "Input/output error" for an unknown host and for a failed TLS handshake; tells them apart."""
    try:
        socket.getaddrinfo(url.host, None)
    except (socket.gaierror, UnicodeError):
        return CameraError("not_found", f"{url} names a host that nobody knows; check the name, or use the IP address")
    if url.scheme in _TLS_SCHEMES:
        plain = {"rtsps": "rtsp", "https": "http"}[url.scheme]
        advice = f"check the port, try {plain}://, or write verify_tls: false if the camera signed its own certificate"
        return CameraError("tls", f"{url} does not make a secure connection; {advice}")
    return CameraError("lost", f"{url} broke off while it was opened ({_reason(error, url)}); check the port")


def _reason(error: av.error.FFmpegError, url: SecretUrl) -> str:
    return redact(error.strerror or type(error).__name__, url)
