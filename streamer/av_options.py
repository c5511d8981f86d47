"""What FFmpeg is told before it opens an address: protocols, formats, transport, time-outs; opens nothing itself.

The whitelists keep a playlist, a redirect or a hostile server from naming other protocols (file:, concat:, subfile:,
data:, pipe:) or formats (concat scripts, SDP files).
"""

from typing import Literal
from urllib.parse import urlsplit

from streamer.secret import SecretUrl

__all__ = ["Kind", "is_playlist", "options_of", "refused_formats"]

Kind = Literal["rtsp", "http", "file", "device"]

_LOW_PROBE = {"probesize": "32", "analyzeduration": "500000", "fpsprobesize": "0"}
"""RTSP names its codec before it sends: one packet is enough. More would be seconds where there is 1 frame a second."""
_SHORT_PROBE = {"analyzeduration": "1000000"}
_RTSP_PROTOCOLS = "rtp,rtsp,srtp,tcp,tls,udp,crypto"
_HTTP_PROTOCOLS = "http,https,httpproxy,tcp,tls,crypto"
_HTTP_FORMATS = (
    "hls,mpegts,mpegtsraw,mpjpeg,mjpeg,jpeg_pipe,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,flv,live_flv,avi,ogg,mpeg,"
    "mpegvideo,h264,hevc,av1,obu,ivf,m4v,asf,aac,mp3,ac3,eac3,webvtt"
)
refused_formats = frozenset(
    {"tty", "bin", "xbin", "idf", "adf"}  # FFmpeg draws any text file as a picture of text
    | {"concat", "hls", "dash", "sdp", "imf", "webm_dash_manifest", "applehttp"}  # files that name other files
)
"""Formats of a local file that are no video."""


def options_of(kind: Kind, url: SecretUrl, *, transport: str, verify_tls: bool) -> dict[str, str]:
    """The options of one opening. transport: "tcp" or "udp", for RTSP."""
    if kind == "rtsp":
        return {
            "rtsp_transport": transport,
            "allowed_media_types": "video",
            "protocol_whitelist": _RTSP_PROTOCOLS,
            **_LOW_PROBE,
            **_tls_options(url, verify_tls=verify_tls),
        }
    if kind == "http":
        options = {"protocol_whitelist": _HTTP_PROTOCOLS, "format_whitelist": _HTTP_FORMATS, **_SHORT_PROBE}
        if is_playlist(url):
            options["live_start_index"] = "-1"
        return options | _tls_options(url, verify_tls=verify_tls)
    return {"protocol_whitelist": "file"}


def _tls_options(url: SecretUrl, *, verify_tls: bool) -> dict[str, str]:
    """Certificates are checked against the system's authorities, or SSL_CERT_FILE."""
    if url.scheme not in ("rtsps", "https"):
        return {}
    if not verify_tls:
        return {"tls_verify": "0"}
    import ssl

    authorities = ssl.get_default_verify_paths().cafile
    return {"tls_verify": "1", **({"ca_file": authorities} if authorities else {})}


def is_playlist(url: SecretUrl) -> bool:
    """True for HLS, whose packets come a segment at a time."""
    return urlsplit(f"//{url.location}").path.lower().endswith((".m3u8", ".m3u"))
