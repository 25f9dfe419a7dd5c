"""TLS contexts: what the proxy shows to clients, and what it asks of servers."""

import os
import ssl
from dataclasses import dataclass

from sluice_proxy.config import Certificate, TargetTLS
from sluice_proxy.errors import ConfigError
from sluice_proxy.wire import constants as c
from sluice_proxy.wire.channel_binding import server_end_point


@dataclass(frozen=True, slots=True)
class Identity:
    """What the proxy is known by: the context for its clients, and its certificate in DER."""

    context: ssl.SSLContext
    leaf: bytes

    @property
    def binding(self) -> bytes | None:
        """What SCRAM-SHA-256-PLUS binds to."""
        return server_end_point(self.leaf)


def identity_of(certificate: Certificate) -> Identity:
    """Raises ConfigError("certificate…")."""
    return Identity(server_context(certificate), _leaf(certificate.chain))


def _leaf(chain: str) -> bytes:
    """The first certificate of a PEM chain, which is the one that OpenSSL shows."""
    begin = chain.find(ssl.PEM_HEADER)
    end = chain.find(ssl.PEM_FOOTER, begin) + len(ssl.PEM_FOOTER)
    try:
        return ssl.PEM_cert_to_DER_cert(chain[begin:end])
    except ValueError as error:
        raise ConfigError("certificate", f"no usable PEM ({error})") from None


def server_context(certificate: Certificate) -> ssl.SSLContext:
    """For clients: TLS 1.2 or newer. Raises ConfigError("certificate…")."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As PostgreSQL: a client could make the server work without end.
    context.options |= ssl.OP_NO_RENEGOTIATION
    # As PostgreSQL: hardly a driver resumes, and each ticket would cost every login a write.
    context.num_tickets = 0
    # PostgreSQL 17 and later agree on it wherever a client offers it.
    context.set_alpn_protocols([c.ALPN])
    _load(context, certificate)
    return context


def client_context(tls: TargetTLS) -> ssl.SSLContext | None:
    """For servers, by mode; None for Disable. Raises ConfigError("target_tls.ca", …).

    Whether a server without TLS is good enough (Prefer) is not the context's to say.
    """
    if tls.mode == "Disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([c.ALPN])
    context.check_hostname = tls.mode == "VerifyFull"
    if tls.mode in ("Prefer", "Require"):
        context.verify_mode = ssl.CERT_NONE
    else:
        _trust(context, tls.ca)
    return context


def peer_context() -> ssl.SSLContext:
    """For the other pods of this proxy. Who they are shows in their certificate itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([c.ALPN])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:
    # `ssl` reads a chain from a path alone; a private key must never touch a disk.
    memory = os.memfd_create("certificate")
    try:
        with open(memory, "w", encoding="utf-8", closefd=False) as file:
            file.write(f"{certificate.private_key}\n{certificate.chain}\n")
        context.load_cert_chain(f"/proc/self/fd/{memory}", password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError("certificate", _reason(error)) from None
    finally:
        os.close(memory)


def _no_password() -> str:
    # Without this, OpenSSL would ask the terminal.
    raise ValueError("the private key is encrypted")


def _trust(context: ssl.SSLContext, ca: str) -> None:
    # Bundles name their authorities in comments, in any script; `ssl` takes ASCII only.
    pem = ca.encode("ascii", "ignore").decode()
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError("target_tls.ca", _reason(error)) from None


def _reason(error: Exception) -> str:
    if not isinstance(error, ssl.SSLError):
        return str(error)
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the private key does not belong to the certificate"
    return f"no usable PEM ({error.reason or error})"
