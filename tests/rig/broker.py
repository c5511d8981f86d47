"""A real Mosquitto for a test: on a free port, with password, TLS and ACL where wanted, ended by its process id."""

import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 10.0
_PACKAGES = ("mosquitto", "mosquitto_pub", "mosquitto_rr", "mosquitto_passwd")


def mosquitto_missing() -> str:
    """ "" where all of it is there, else what is not."""
    return ", ".join(name for name in _PACKAGES if _found(name) is None)


def _found(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@dataclass(slots=True)
class Broker:
    """`start()`, `stop()`, `kill()` and start again on the same port, as often as wanted."""

    folder: Path
    port: int
    users: dict[str, str] = field(default_factory=dict)
    acl: str = ""
    tls: dict[str, Path] = field(default_factory=dict)
    """cafile, certfile, keyfile; with require_certificate where there is a client's."""
    more: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises: RuntimeError with its own words where it does not listen in time."""
        log = self.folder / "mosquitto.log"
        config = self.folder / "mosquitto.conf"
        config.write_text(self._config())
        with log.open("ab") as out:
            self.process = subprocess.Popen([str(_found("mosquitto")), "-c", str(config)], stdout=out, stderr=out)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"mosquitto does not listen: {log.read_text()[-500:]}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self._end()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self._end()

    def _end(self) -> None:
        assert self.process is not None
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process = None

    def set_password(self, user: str, password: str) -> None:
        self.users[user] = password

    def _config(self) -> str:
        lines = [f"listener {self.port} 127.0.0.1", "set_tcp_nodelay true", "user root", "log_type error"]
        lines += [f"{name} {path}" for name, path in self.tls.items()]
        lines += [self.more] if self.more else []
        if self.users:
            passwords = self.folder / "passwords"
            passwords.unlink(missing_ok=True)
            passwords.touch(mode=0o600)
            for user, password in self.users.items():
                subprocess.run(
                    [str(_found("mosquitto_passwd")), "-b", str(passwords), user, password],
                    check=True,
                    capture_output=True,
                )
            lines += ["allow_anonymous false", f"password_file {passwords}"]
        else:
            lines.append("allow_anonymous true")
        if self.acl:
            acl = self.folder / "acl"
            acl.write_text(self.acl)
            acl.chmod(0o600)
            lines.append(f"acl_file {acl}")
        return "\n".join(lines) + "\n"
