"""Errors that a client may see: each knows its SQLSTATE, severity and hint.

Texts and SQLSTATEs are those of RDS Proxy where it has one, PostgreSQL's own
otherwise, so that whatever matches on them today goes on matching.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorFields:
    """What an ErrorResponse carries: severity (`ERROR`, `FATAL`), SQLSTATE, texts."""

    severity: str
    sqlstate: str
    message: str
    hint: str = ""
    detail: str = ""


class ProxyError(Exception):
    """Base of all that is told to a client. `transient` = worth waiting for.

    `reason` is what a target's health is called for it; empty where the SQLSTATE says it.
    """

    sqlstate = "XX000"
    severity = "FATAL"
    hint = ""
    transient = False
    reason = ""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        sqlstate: str | None = None,
        detail: str = "",
        said: bytes = b"",
    ):
        super().__init__(message)
        self.message = message
        # The body of the server's own ErrorResponse, where there is one.
        self.said = said
        self.detail = detail
        if hint is not None:
            self.hint = hint
        if sqlstate is not None:
            self.sqlstate = sqlstate

    def fields(self) -> ErrorFields:
        return ErrorFields(self.severity, self.sqlstate, self.message, self.hint, self.detail)


class ClientProtocolError(ProxyError):
    """The client broke the protocol: answer and close."""

    sqlstate = "08P01"


class ServerProtocolError(ProxyError):
    """The server said something that this proxy cannot account for."""

    sqlstate = "08P01"


class AuthenticationFailed(ProxyError):
    """The client is not who it says it is."""

    sqlstate = "28P01"


class TLSRequired(ProxyError):
    """`requireTLS` and a client in clear."""

    sqlstate = "28000"
    hint = "Connect with sslmode=require or stricter, or set requireTLS to false."

    def __init__(self) -> None:
        # RDS Proxy's text to the letter: what matches on it today must go on matching.
        super().__init__("This RDS Proxy requires TLS connections.")


class BorrowTimeout(ProxyError):
    """No server connection became free within the borrow timeout."""

    sqlstate = "08000"
    hint = "Raise connectionPool.maxConnectionsPercent or connectionBorrowTimeoutSeconds."

    def __init__(self, cause: str = ""):
        # RDS Proxy's text to the letter.
        super().__init__("Timed-out waiting to acquire database connection.")
        self.cause = cause

    def fields(self) -> ErrorFields:
        return ErrorFields(self.severity, self.sqlstate, self.message, self.hint, self.cause)


class ServerUnavailable(ProxyError):
    """The server cannot be reached or refuses for now; clients wait for it."""

    sqlstate = "08006"
    transient = True


class ServerRejected(ProxyError):
    """The server refused the login for good; its own SQLSTATE and words are passed on."""


class Unreachable(ServerUnavailable):
    """Nothing answers at the server's address."""

    sqlstate = "08001"
    reason = "Unreachable"


class HostNotFound(ServerUnavailable):
    """The server's name has no address."""

    sqlstate = "08001"
    reason = "HostNotFound"


class TLSRefused(ServerRejected):
    """The server does not speak TLS, or not as it is asked to."""

    sqlstate = "08001"
    reason = "TLSRefused"


class CertificateInvalid(ServerRejected):
    """The server's certificate does not stand the check."""

    sqlstate = "08001"
    reason = "CertificateInvalid"


class ServerLost(ProxyError):
    """The server connection died under a client that held it."""

    sqlstate = "08006"


class ShuttingDown(ProxyError):
    """The proxy drains."""

    sqlstate = "57P01"

    def __init__(self) -> None:
        super().__init__("terminating connection due to administrator command")


class FeatureNotSupported(ProxyError):
    """Asked for something that this proxy does not do."""

    sqlstate = "0A000"


class ConfigError(ValueError):
    """A configuration that cannot be used; `path` names the field."""

    def __init__(self, path: str, problem: str):
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class InvariantError(AssertionError):
    """A rule of our own was broken: a bug here, never the peer's fault."""
