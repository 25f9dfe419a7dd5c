"""Until when a certificate that a user brings is good, and for which hosts."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509

from sluice_operator.api.conditions import Reason
from sluice_operator.api.v1alpha1 import Spec
from sluice_operator.desired.certificates import SKEW
from sluice_operator.desired.credentials import Problem, Secrets, given_certificate
from sluice_proxy.config import Certificate

PATH = "spec.tls.secretRef"

WARN_BELOW = timedelta(days=7)
WARN_BELOW_PART = 1 / 4
"""One that lives for days alone is renewed late, and warned of in the last part of its life."""

_NO_HOSTS = (
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    ValueError,
)


def problem(spec: Spec, secrets: Secrets, now: float) -> Problem | None:
    """Why clients refuse the certificate of `tls.secretRef`, by its dates.

    `now` is seconds since the epoch. Raises Problem where there is none, and ValueError where
    it has no date.
    """
    given = given_certificate(spec, secrets)
    if spec.tls.secret_ref is None or given is None:
        return None
    begin, end = _dates(given)
    what = f"the certificate in tls.crt of Secret {spec.tls.secret_ref.name}"
    if _is_over(end, now):
        return Problem(PATH, Reason.CERTIFICATE_EXPIRED, f"{what} expired on {_text(end)}")
    if _is_to_come(begin, now):
        sentence = f"{what} is not valid before {_text(begin)}"
        return Problem(PATH, Reason.CERTIFICATE_NOT_YET_VALID, sentence)
    return None


def is_timely(certificate: Certificate | None, now: float) -> bool:
    """Whether there is one, and its dates are good at `now` (seconds since the epoch)."""
    if certificate is None:
        return False
    try:
        begin, end = _dates(certificate)
    except ValueError:
        return False
    return not _is_over(end, now) and not _is_to_come(begin, now)


def notes(spec: Spec, secrets: Secrets, hosts: Iterable[str], now: float) -> tuple[str, ...]:
    """What the user should know of the certificate of `tls.secretRef`: its end is near, or it
    names none of `hosts`, by which clients of the cluster come."""
    try:
        given = given_certificate(spec, secrets)
        if spec.tls.secret_ref is None or given is None:
            return ()
        what = f"{PATH}: the certificate of Secret {spec.tls.secret_ref.name}"
        found = (_end_is_near(given, now), _other_hosts(given, tuple(hosts)))
    except ValueError:
        return ()  # a condition tells of it
    return tuple(f"{what} {sentence}" for sentence in found if sentence)


def _end_is_near(certificate: Certificate, now: float) -> str:
    begin, end = _dates(certificate)
    left = end - _moment(now)
    if _is_over(end, now) or left >= min(WARN_BELOW, WARN_BELOW_PART * (end - begin)):
        return ""
    return f"expires on {_text(end)}: renew it"


def _other_hosts(certificate: Certificate, hosts: tuple[str, ...]) -> str:
    names = _hosts_of(_leaf(certificate))
    if any(_is_for(name, host) for name in names for host in hosts):
        return ""
    return (
        f"is for none of {', '.join(hosts)}: clients that verify the host must connect by a name "
        "that it is for, or be given one for these"
    )


def _hosts_of(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except _NO_HOSTS:
        return ()
    return tuple(extension.value.get_values_for_type(x509.DNSName))


def _is_for(name: str, host: str) -> bool:
    """A `*` is the whole of the first label, and stands for one (RFC 6125, 6.4.3)."""
    name = name.lower()
    if name.startswith("*."):
        return host.partition(".")[1:] == (".", name[2:])
    return name == host


def _is_over(end: datetime, now: float) -> bool:
    return _moment(now) > end


def _is_to_come(begin: datetime, now: float) -> bool:
    # Whoever signed it may have a clock that is a little ahead of ours.
    return _moment(now) + SKEW < begin


def _dates(certificate: Certificate) -> tuple[datetime, datetime]:
    """Of the leaf: a chain may hold an expired cross-signature that no client goes by."""
    leaf = _leaf(certificate)
    return leaf.not_valid_before_utc, leaf.not_valid_after_utc


def _leaf(certificate: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificates(certificate.chain.encode())[0]


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
