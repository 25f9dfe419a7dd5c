"""From the spec and what it refers to, to the inputs of the children, or what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sluice_operator import names
from sluice_operator.api import conditions
from sluice_operator.api.v1alpha1 import DatabaseProxy
from sluice_operator.decide import egress
from sluice_operator.decide.budget import Division, Memory
from sluice_operator.decide.fallback import fallback, sleeping
from sluice_operator.decide.fleet import Crew, division
from sluice_operator.decide.fleet import replicas as allowed_replicas
from sluice_operator.decide.observed import Observed, secret_data
from sluice_operator.desired import credentials, validity
from sluice_operator.desired.certificates import Issued, Kept, Pair, issued
from sluice_operator.desired.config_secret import proxy_config
from sluice_operator.desired.credentials import Problem, given_ca
from sluice_operator.desired.inputs import Egress, Inputs, ProxyImage
from sluice_operator.desired.manifest import Owner
from sluice_proxy.config import CONFIG_KEY, Fleet, ProxyConfig
from sluice_proxy.config import parse as parse_config


@dataclass(frozen=True, slots=True)
class Installation:
    """What the operator knows of itself: which image it gives, where it lives, who scrapes.

    `activators` is the DNS name of the activators' headless Service; empty where there are none,
    and so no proxy pauses. `activator_policies`: a NetworkPolicy stands before them, so that each
    proxy's clients have to be let in.
    """

    proxy_image: ProxyImage
    namespace: str
    monitoring_namespaces: tuple[str, ...] = ()
    activators: str = ""
    activator_policies: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """What is wrong with the spec: the condition that says so, and the field.

    `halts`: it is not served for that; False where it is, for want of anything better.
    """

    condition: str
    reason: str
    path: str
    sentence: str
    halts: bool = True

    @property
    def message(self) -> str:
        return f"{self.path}: {self.sentence}" if self.path else self.sentence


@dataclass(frozen=True, slots=True)
class Resolution:
    """Inputs, or what is missing, or both: then the inputs hold the last good document.

    `previous` is the document that is on the cluster now.
    """

    inputs: Inputs | None
    missing: Missing | None = None
    previous: ProxyConfig | None = None
    division: Division = field(default_factory=lambda: Division(Fleet(), Memory()))


def owner_of(proxy: DatabaseProxy) -> Owner:
    return Owner(proxy.metadata.name, proxy.metadata.namespace, proxy.metadata.uid)


def resolve(
    proxy: DatabaseProxy, observed: Observed, crew: Crew, installation: Installation, now: float
) -> Resolution:
    """The inputs of the children of `proxy`; `now` is seconds since the epoch."""
    owner = owner_of(proxy)
    previous = _previous(observed, owner)
    certificates = _certificates(proxy, observed, owner, now)
    config, missing = _chosen(proxy, observed, previous, certificates, now)
    if config is None:
        return Resolution(None, missing)
    divided = division(proxy.spec, previous, crew, now, sleeping(observed, owner))
    stand_in = fallback(proxy.spec, observed, owner, installation.activators)
    rules = egress.egress(proxy.spec, owner.namespace, observed.services)
    replicas = allowed_replicas(proxy.spec, observed, owner.name, fits=divided.fits)
    inputs = Inputs(
        owner=owner,
        spec=proxy.spec.model_copy(update={"replicas": replicas}),
        config=replace(
            config,
            fleet=divided.fleet,
            peers=names.peers_host(owner.name, owner.namespace),
            activators=installation.activators,
            uid="" if stand_in is None else owner.uid,
        ),
        issued=certificates,
        ca=_ca(proxy, observed, certificates),
        egress=rules,
        image=installation.proxy_image,
        operator_namespace=installation.namespace,
        monitoring_namespaces=installation.monitoring_namespaces,
        notes=_notes(proxy, observed, rules, now),
        fallback=stand_in,
    )
    return Resolution(inputs, missing, previous, divided)


def _chosen(
    proxy: DatabaseProxy,
    observed: Observed,
    previous: ProxyConfig | None,
    certificates: Issued | None,
    now: float,
) -> tuple[ProxyConfig | None, Missing | None]:
    """The document to serve, if there is one, and what is wrong with the spec's own."""
    last_good = _last_good(previous, certificates, observed, owner_of(proxy))
    try:
        config = _config(proxy, observed, previous, certificates, now)
        untimely = validity.problem(proxy.spec, observed.secrets, now)
    except Problem as problem:
        return last_good, _blamed(problem)
    except ValueError as error:
        return last_good, Missing(conditions.ACCEPTED, "Invalid", "spec", str(error))
    if untimely is None:
        return config, None
    # Where no better certificate is left, passwords and settings go on being taken.
    if last_good is not None and validity.is_timely(last_good.certificate, now):
        return last_good, _blamed(untimely)
    return config, replace(_blamed(untimely), halts=False)


def _blamed(problem: Problem) -> Missing:
    return Missing(conditions.CREDENTIALS_READY, problem.reason, problem.path, problem.sentence)


def _config(
    proxy: DatabaseProxy,
    observed: Observed,
    previous: ProxyConfig | None,
    certificates: Issued | None,
    now: float,
) -> ProxyConfig:
    return proxy_config(
        proxy.spec,
        proxy.metadata.name,
        proxy.metadata.namespace,
        observed.secrets,
        previous,
        now,
        None if certificates is None else certificates.shown(),
    )


def _previous(observed: Observed, owner: Owner) -> ProxyConfig | None:
    """The document that is served now, if one is and this version can read it."""
    data = _own_secret(observed, names.config_secret(owner.name), owner)
    try:
        return parse_config(data[CONFIG_KEY].decode())
    except (KeyError, ValueError):
        return None


def _certificates(
    proxy: DatabaseProxy, observed: Observed, owner: Owner, now: float
) -> Issued | None:
    if proxy.spec.tls.secret_ref is not None:
        return None
    hosts = names.dns_names(owner.name, owner.namespace)
    subject = f"{owner.namespace}/{owner.name}"
    signer = _own_secret(observed, names.ca_key_secret(owner.name), owner)
    shown = _own_secret(observed, names.tls_secret(owner.name), owner)
    # Not what clients mount: whoever may write there is not to be trusted for it.
    trusted = (signer or shown).get(names.CA_CRT, b"").decode(errors="replace")
    return issued(subject, hosts, now, Kept(_pair(signer), _pair(shown), trusted))


def _notes(
    proxy: DatabaseProxy, observed: Observed, rules: tuple[Egress, ...], now: float
) -> tuple[str, ...]:
    """What the user should know although nothing fails for it, or not yet."""
    spec, namespace, secrets = proxy.spec, proxy.metadata.namespace, observed.secrets
    hosts = names.dns_names(proxy.metadata.name, namespace)
    return (
        *egress.notes(spec, namespace, rules, observed.unreadable),
        *credentials.notes(spec, secrets),
        *validity.notes(spec, secrets, hosts, now),
    )


def _last_good(
    previous: ProxyConfig | None, certificates: Issued | None, observed: Observed, owner: Owner
) -> ProxyConfig | None:
    """`previous`; but a certificate of ours is renewed even so."""
    kept = _pair(_own_secret(observed, names.tls_secret(owner.name), owner))
    if previous is None or certificates is None or kept is None:
        return previous
    if previous.certificate is None or previous.certificate.chain != kept.certificate:
        return previous
    return replace(previous, certificate=certificates.shown())


def _ca(proxy: DatabaseProxy, observed: Observed, certificates: Issued | None) -> str:
    if certificates is not None:
        return certificates.trusted
    return given_ca(proxy.spec, observed.secrets)


def _own_secret(observed: Observed, name: str, owner: Owner) -> Mapping[str, bytes]:
    """Data of a child; empty if there is none, or if it is somebody else's."""
    secret = observed.children.get(("Secret", name))
    return secret_data(secret) if secret is not None and is_owned(secret, owner) else {}


def is_owned(manifest: Mapping[str, Any], owner: Owner) -> bool:
    references = manifest["metadata"].get("ownerReferences") or ()
    return any(item.get("controller") and item["uid"] == owner.uid for item in references)


def _pair(data: Mapping[str, bytes]) -> Pair | None:
    if names.TLS_CRT not in data or names.TLS_KEY not in data:
        return None
    try:
        return Pair(data[names.TLS_CRT].decode(), data[names.TLS_KEY].decode())
    except UnicodeDecodeError:
        return None
