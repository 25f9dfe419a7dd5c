"""The manifests as a source of the proxy's document: implements `sluice_proxy.source.Source`."""

import time
from collections.abc import Callable, Mapping

from sluice_cli.authority import HOSTS, Authority, state_folder
from sluice_cli.complaints import Complaints
from sluice_cli.files import Files, Fingerprint
from sluice_cli.manifests import Manifests, Proxy, load
from sluice_cli.resolve import resolve
from sluice_proxy.config import Certificate, ProxyConfig, dump
from sluice_proxy.errors import ConfigError

LOOK_AGAIN = 86400.0
"""After so many seconds unchanged files are read anew: the certificate may want renewal."""


class ManifestSource:
    """The document for the DatabaseProxy called `name` in `files`.

    After the first `read` it stays with that DatabaseProxy, whatever else comes into the
    files. `listen_host` is one more name that the certificate is good for.
    """

    def __init__(
        self,
        files: Files,
        name: str,
        environment: Mapping[str, str],
        listen_host: str,
        clock: Callable[[], float] = time.time,
    ):
        self._files = files
        self._name = name
        self._environment = environment
        self._hosts = (*HOSTS, listen_host) if _is_one_more(listen_host) else HOSTS
        self._clock = clock
        self._seen: Fingerprint = ()
        self._glimpsed: Fingerprint = ()
        self._read_at = 0.0
        self._authority: Authority | None = None
        self.config: ProxyConfig | None = None

    @property
    def ca_file(self) -> str:
        """What clients verify the certificate with; empty if it is the user's own."""
        return "" if self._authority is None else str(self._authority.certificate)

    def changed(self) -> bool:
        """True only when two looks were alike: an editor may be halfway through writing."""
        found = self._files.fingerprint()
        settled, self._glimpsed = found == self._glimpsed, found
        due = self._clock() >= self._read_at + LOOK_AGAIN
        return due or (settled and found != self._seen)

    def read(self) -> str:
        """Raises ConfigError with every complaint, and keeps what it gave before."""
        self._seen = self._files.fingerprint()
        self._read_at = self._clock()
        try:
            self.config = self._resolve()
        except Complaints as error:
            raise ConfigError("", str(error)) from None
        return dump(self.config)

    def _resolve(self) -> ProxyConfig:
        found = load(self._files)
        if found.complaints:
            raise Complaints(found.complaints)
        proxy = self._choose(found)
        certificate = self._certificate(proxy)
        return resolve(proxy, found, self.config, self._read_at, certificate)

    def _choose(self, found: Manifests) -> Proxy:
        proxy = found.choose(self._name)
        self._name = proxy.name
        return proxy

    def _certificate(self, proxy: Proxy) -> Certificate | None:
        """One of ours, where the manifest names none."""
        if proxy.manifest.spec.tls.secret_ref is not None:
            self._authority = None
            return None
        if self._authority is None:
            folder = state_folder(self._environment, *proxy.key)
            self._authority = Authority(folder, self._hosts)
        return self._authority.issue(proxy.name, self._read_at).shown()


def _is_one_more(host: str) -> bool:
    """Whether it names one address, and not one that the certificate has anyway."""
    return host not in (*HOSTS, "", "0.0.0.0", "::")  # noqa: S104
