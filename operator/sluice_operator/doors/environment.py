"""The variables of the environment by which the chart tells the operator where it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from sluice_operator.decide.resolve import Installation
from sluice_operator.desired.inputs import ProxyImage

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class Misconfigured(ValueError):
    """A variable is missing or will not do; the text names it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the process is told. No `watch_namespaces` means all of them."""

    installation: Installation
    pod: str
    lease: str
    watch_namespaces: tuple[str, ...]
    http_port: int
    log_level: str


def environment(variables: Mapping[str, str]) -> Environment:
    """Raises Misconfigured."""
    image = variables.get("SLUICE_PROXY_IMAGE", "")
    if not image:
        raise Misconfigured("SLUICE_PROXY_IMAGE is not set: which image shall the proxies run?")
    level = variables.get("SLUICE_LOG_LEVEL", "INFO")
    if level not in LOG_LEVELS:
        raise Misconfigured(f"SLUICE_LOG_LEVEL is {level!r}, not one of {', '.join(LOG_LEVELS)}")
    return Environment(
        installation=Installation(
            proxy_image=_proxy_image(image, variables),
            namespace=variables.get("POD_NAMESPACE", "sluice-system"),
            monitoring_namespaces=_words(variables.get("SLUICE_MONITORING_NAMESPACES", "")),
            activators=variables.get("SLUICE_ACTIVATOR_SERVICE", ""),
            activator_policies=_switch("SLUICE_ACTIVATOR_POLICIES", variables),
        ),
        pod=variables.get("POD_NAME", ""),
        lease=variables.get("SLUICE_LEASE_NAME", "sluice-operator"),
        watch_namespaces=_words(variables.get("SLUICE_WATCH_NAMESPACES", "")),
        http_port=_port(variables.get("SLUICE_HTTP_PORT", "8080")),
        log_level=level,
    )


def _proxy_image(name: str, variables: Mapping[str, str]) -> ProxyImage:
    policy = variables.get("SLUICE_PROXY_IMAGE_PULL_POLICY", "IfNotPresent")
    if policy not in PULL_POLICIES:
        choices = ", ".join(PULL_POLICIES)
        raise Misconfigured(f"SLUICE_PROXY_IMAGE_PULL_POLICY is {policy!r}, not one of {choices}")
    return ProxyImage(name, policy, _words(variables.get("SLUICE_PROXY_IMAGE_PULL_SECRETS", "")))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


def _switch(name: str, variables: Mapping[str, str]) -> bool:
    text = variables.get(name, "false")
    if text not in ("true", "false"):
        raise Misconfigured(f"{name} is {text!r}, neither true nor false")
    return text == "true"


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise Misconfigured(f"SLUICE_HTTP_PORT is {text!r}, not a port")
    return int(text)
