"""The Secrets of a certificate that the operator issued, and the one that clients mount."""

from base64 import b64encode

from sluice_operator import names
from sluice_operator.desired.certificates import Issued, Pair
from sluice_operator.desired.manifest import Manifest, Owner, manifest


def tls_secret(issued: Issued, owner: Owner) -> Manifest:
    """The leaf with its key, and the CAs that clients know."""
    return _tls(names.tls_secret(owner.name), issued.leaf, issued.trusted, owner)


def ca_key_secret(issued: Issued, owner: Owner) -> Manifest:
    """The CA with the key that signs leaves: apart, for nobody else needs it."""
    return _tls(names.ca_key_secret(owner.name), issued.ca, issued.trusted, owner)


def ca_secret(ca: str, owner: Owner) -> Manifest:
    """`ca.crt` and nothing secret: what clients mount to verify the proxy."""
    return _secret(names.ca_secret(owner.name), "Opaque", {names.CA_CRT: ca}, owner)


def _tls(name: str, pair: Pair, ca: str, owner: Owner) -> Manifest:
    data = {names.TLS_CRT: pair.certificate, names.TLS_KEY: pair.key, names.CA_CRT: ca}
    return _secret(name, "kubernetes.io/tls", data, owner)


def _secret(name: str, kind: str, data: dict[str, str], owner: Owner) -> Manifest:
    encoded = {key: b64encode(text.encode()).decode() for key, text in data.items()}
    return {**manifest("v1", "Secret", name, owner), "type": kind, "data": encoded}
