"""The configuration Secret: everything one proxy is told, in one document."""

import base64
from dataclasses import replace

from sluice_operator import names
from sluice_operator.api.v1alpha1 import Spec
from sluice_operator.desired.credentials import (
    Secrets,
    given_certificate,
    target_ca,
    users,
)
from sluice_operator.desired.manifest import Manifest, Owner, manifest
from sluice_proxy.config import (
    CONFIG_KEY,
    UNSHARED,
    Certificate,
    Fleet,
    PoolSettings,
    ProxyConfig,
    Target,
    TargetTLS,
    User,
    carry_previous,
    digest,
    dump,
    validated,
)

IDLE_PERCENT = 50
"""RDS Proxy's default of maxIdleConnectionsPercent."""


def proxy_config(
    spec: Spec,
    name: str,
    namespace: str,
    secrets: Secrets,
    previous: ProxyConfig | None,
    now: float,
    certificate: Certificate | None,
    *,
    fleet: Fleet = UNSHARED,
) -> ProxyConfig:
    """The document for `spec`. Raises Problem for what the Secrets lack.

    `previous` is the document that is served now: the passwords it holds stay good for
    `rotationGraceSeconds` after they changed. `now` is seconds since the epoch.
    `certificate` is shown to clients where `spec.tls` names none. The pods share the budget
    as `fleet` says.
    """
    target = spec.targets[0]
    config = ProxyConfig(
        name=f"{namespace}/{name}",
        targets=(Target(target.host, target.port),),
        users=users(spec, secrets),
        target_tls=TargetTLS(
            spec.target_tls.mode, target_ca(spec, secrets), spec.target_tls.negotiation
        ),
        certificate=given_certificate(spec, secrets) or certificate,
        require_tls=spec.require_tls,
        idle_client_timeout_seconds=spec.idle_client_timeout_seconds,
        pool=_pool(spec),
        fleet=fleet,
        drain_seconds=spec.pod_template.drain_seconds,
        linger_seconds=spec.pod_template.linger_seconds,
        debug_logging=spec.debug_logging,
    )
    grace = {
        user.name: now + entry.rotation_grace_seconds
        for user, entry in zip(config.users, spec.auth, strict=True)
    }
    return validated(_forget(carry_previous(previous, config, grace), now))


def _pool(spec: Spec) -> PoolSettings:
    pool = spec.connection_pool
    idle = pool.max_idle_connections_percent
    return PoolSettings(
        max_connections_percent=pool.max_connections_percent,
        connection_borrow_timeout_seconds=pool.connection_borrow_timeout_seconds,
        max_idle_connections_percent=min(
            pool.max_connections_percent, IDLE_PERCENT if idle is None else idle
        ),
        init_query=pool.init_query,
        session_pinning_filters=tuple(pool.session_pinning_filters),
    )


def _forget(config: ProxyConfig, now: float) -> ProxyConfig:
    """`config` without the previous passwords whose grace is over."""
    return replace(config, users=tuple(_forget_one(user, now) for user in config.users))


def _forget_one(user: User, now: float) -> User:
    if user.previous_until > now:
        return user
    return replace(user, previous_password="", previous_until=0.0)


def config_secret(config: ProxyConfig, owner: Owner) -> Manifest:
    """The Secret that the pods mount; its annotation names the document's content."""
    text = dump(config)
    secret = manifest("v1", "Secret", names.config_secret(owner.name), owner)
    secret["metadata"]["annotations"] = {names.CONFIG_HASH: digest(text)}
    return {
        **secret,
        "type": "Opaque",
        "data": {CONFIG_KEY: base64.b64encode(text.encode()).decode()},
    }
