"""The CA of local mode: kept between runs, so that clients need its file but once."""

import os
from collections.abc import Mapping
from pathlib import Path

from sluice_cli.complaints import Complaint, Complaints
from sluice_operator import names
from sluice_operator.desired.certificates import Issued, Kept, Pair, issued

CA_KEY = "ca.key"

HOSTS = ("localhost", "127.0.0.1", "::1")
"""Names that the certificate is always good for."""


def state_folder(environment: Mapping[str, str], namespace: str, name: str) -> Path:
    """The folder of one DatabaseProxy, by the XDG Base Directory Specification."""
    home = environment.get("XDG_STATE_HOME", "")
    # "All paths must be absolute. If […] a relative path […] consider the path invalid."
    base = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state"
    return base / "sluice" / f"{namespace}-{name}"


class Authority:
    """Issues certificates from the CA in `folder`, and makes a CA where there is none."""

    def __init__(self, folder: Path, hosts: tuple[str, ...] = HOSTS):
        self.certificate = folder / names.CA_CRT
        self._key = folder / CA_KEY
        self._hosts = hosts
        self._issued: Issued | None = None

    def issue(self, subject: str, now: float) -> Issued:
        """The same as before while that will do; `now` is seconds since the epoch.

        Raises Complaints if the folder cannot be read or written.
        """
        try:
            return self._issue(subject, now)
        except OSError as error:
            sentence = f"the CA cannot be kept here: {error.strerror or error}"
            raise Complaints([Complaint(str(error.filename), sentence)]) from None

    def _issue(self, subject: str, now: float) -> Issued:
        before = self._issued
        ca = self._load() if before is None else before.ca
        leaf = None if before is None else before.leaf
        self._issued = issued(subject, self._hosts, now, Kept(ca, leaf))
        if self._issued.ca != ca:
            self._keep(self._issued.ca)
        return self._issued

    def _load(self) -> Pair | None:
        try:
            return Pair(self.certificate.read_text(), self._key.read_text())
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def _keep(self, ca: Pair) -> None:
        self.certificate.parent.mkdir(parents=True, exist_ok=True)
        # The key first: a certificate without its key would look whole to clients.
        _write(self._key, ca.key, 0o600)
        _write(self.certificate, ca.certificate, 0o644)


def _write(path: Path, text: str, mode: int) -> None:
    """All of it or nothing, and at no moment readable by more than `mode` says."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)
