"""What `sluice run` tells a person who wants to connect."""

import re
import shlex

from sluice_proxy.config import User

Address = tuple[str, int]

# Hosts that a client on this machine reaches as `localhost`, the one name that every
# version of libpq can verify: addresses in certificates are looked at since libpq 15.
_LOCAL = ("", "0.0.0.0", "::", "127.0.0.1", "::1")  # noqa: S104


def guide(name: str, listen: Address, admin: Address, ca_file: str, user: User) -> str:
    """A few lines; the last one is what a client changes. No password."""
    return "\n".join((
        f"{name} is served on {_shown(listen)}; "
        f"its state: http://{_shown(_reachable(admin))}/state",
        f"CA: {ca_file}" if ca_file else "Certificate: the one of spec.tls.secretRef",
        f"psql {shlex.quote(conninfo(listen, ca_file, user))}",
    ))  # fmt: skip


def conninfo(listen: Address, ca_file: str, user: User) -> str:
    """The connection line of libpq, without the password."""
    host, port = _reachable(listen)
    trust = {"sslmode": "verify-full", "sslrootcert": ca_file} if ca_file else {
        "sslmode": "require"
    }  # fmt: skip
    fields = {"host": host, "port": str(port), "user": user.name, "dbname": user.database}
    return " ".join(f"{key}={_quoted(value)}" for key, value in {**fields, **trust}.items())


def _reachable(address: Address) -> Address:
    return ("localhost", address[1]) if address[0] in _LOCAL else address


def _shown(address: Address) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0] or "*"
    return f"{host}:{address[1]}"


def _quoted(value: str) -> str:
    """libpq: values with spaces stand in single quotes; \\ before a quote or a \\."""
    if re.fullmatch(r"[^\s'\\]+", value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
