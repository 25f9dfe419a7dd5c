"""Who the activator is at the API server, as the kubelet mounts it into each pod."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(slots=True)
class Account:
    """Address of the API server, and the folder with `token` and `ca.crt`.

    Both files are read again when they are needed: the kubelet renews the token.
    """

    host: str
    port: int
    folder: Path = MOUNT
    _context: ssl.SSLContext | None = field(default=None, repr=False)
    _ca: str = field(default="", repr=False)

    def token(self) -> str:
        """Raises OSError."""
        return (self.folder / "token").read_text().strip()

    def context(self) -> ssl.SSLContext:
        """Trusts the cluster's CA alone. Raises OSError, of which ssl.SSLError is one."""
        ca = (self.folder / "ca.crt").read_text()
        if self._context is None or ca != self._ca:
            self._context = ssl.create_default_context(cadata=ca)
            # Many clusters' CAs lack what Python 3.13 asks of them by default (RFC 5280).
            self._context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            self._ca = ca
        return self._context


def in_cluster(environment: Mapping[str, str] = os.environ, folder: Path = MOUNT) -> Account:
    """As each pod is told it. Raises KeyError outside of a cluster."""
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
    return Account(host, int(port), folder)
