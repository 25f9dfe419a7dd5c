"""From a DatabaseProxy and the Secrets beside it to the document that the proxy is told."""

from dataclasses import replace

from sluice_cli.complaints import Complaint, Complaints
from sluice_cli.manifests import Manifests, Proxy
from sluice_operator.api.v1alpha1 import Auth
from sluice_operator.desired.config_secret import proxy_config
from sluice_operator.desired.credentials import (
    Problem,
    Secrets,
    given_certificate,
    target_ca,
    users,
)
from sluice_proxy.config import Certificate, ProxyConfig
from sluice_proxy.errors import ConfigError

SECRET_NOT_FOUND = "SecretNotFound"


def resolve(
    proxy: Proxy,
    found: Manifests,
    previous: ProxyConfig | None,
    now: float,
    certificate: Certificate | None,
) -> ProxyConfig:
    """The whole budget is this process's own, and its end needs no patience: nobody stands
    between it and its clients who could not know of it. Arguments are those of `proxy_config`.

    Raises Complaints with everything that the Secrets lack.
    """
    namespace, name = proxy.key
    secrets = found.secrets_of(namespace)
    problems = _problems(proxy, secrets)
    if problems:
        raise Complaints(_complaint(proxy, problem) for problem in problems)
    try:
        config = proxy_config(
            proxy.manifest.spec, name, namespace, secrets, previous, now, certificate
        )
    except ConfigError as error:
        raise Complaints([proxy.complain(error.path, error.problem)]) from None
    return replace(config, linger_seconds=0)


def _problems(proxy: Proxy, secrets: Secrets) -> list[Problem]:
    spec = proxy.manifest.spec
    problems = _auth_problems(proxy, secrets)
    for look in (target_ca, given_certificate):
        try:
            look(spec, secrets)
        except Problem as problem:
            problems.append(problem)
    return problems


def _auth_problems(proxy: Proxy, secrets: Secrets) -> list[Problem]:
    """`users` stops at the first problem: so each entry is tried after the good ones."""
    spec = proxy.manifest.spec
    good: list[Auth] = []
    problems = []
    for index, entry in enumerate(spec.auth):
        try:
            users(spec.model_copy(update={"auth": [*good, entry]}), secrets)
            good.append(entry)
        except Problem as problem:
            path = problem.path.replace(f"auth[{len(good)}]", f"auth[{index}]", 1)
            problems.append(Problem(path, problem.reason, problem.sentence))
    return problems


def _complaint(proxy: Proxy, problem: Problem) -> Complaint:
    sentence = problem.sentence
    if problem.reason == SECRET_NOT_FOUND:
        sentence += f" in namespace {proxy.key[0]} of the files given"
    return proxy.complain(problem.path, sentence, problem.reason)
