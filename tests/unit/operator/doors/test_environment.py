"""The variables that the chart sets, and what is said when they will not do."""

import pytest

from sluice_operator.decide.resolve import Installation
from sluice_operator.desired.inputs import ProxyImage
from sluice_operator.doors.environment import Misconfigured, environment

IMAGE = {"SLUICE_PROXY_IMAGE": "sluice/proxy:1"}


def test_what_is_absent_has_a_default() -> None:
    given = environment(IMAGE)
    assert given.watch_namespaces == ()
    assert (given.http_port, given.log_level, given.lease) == (8080, "INFO", "sluice-operator")
    assert given.installation.namespace == "sluice-system"
    assert (given.installation.activators, given.installation.activator_policies) == ("", False)


def test_lists_are_words_between_commas() -> None:
    given = environment({**IMAGE, "SLUICE_WATCH_NAMESPACES": "a, b,,"})
    assert given.watch_namespaces == ("a", "b")


def test_what_proxies_run_and_who_scrapes_them() -> None:
    given = environment(
        {
            **IMAGE,
            "SLUICE_PROXY_IMAGE_PULL_POLICY": "Always",
            "SLUICE_PROXY_IMAGE_PULL_SECRETS": "registry",
            "SLUICE_MONITORING_NAMESPACES": "monitoring",
        }
    )
    assert given.installation == Installation(
        ProxyImage("sluice/proxy:1", "Always", ("registry",)), "sluice-system", ("monitoring",)
    )


@pytest.mark.parametrize("policies", [True, False])
def test_where_the_activators_are(policies: bool) -> None:
    service = {"SLUICE_ACTIVATOR_SERVICE": "sluice-activator.sluice-system.svc"}
    switch = {"SLUICE_ACTIVATOR_POLICIES": "true" if policies else "false"}
    given = environment({**IMAGE, **service, **switch}).installation
    assert given.activators == "sluice-activator.sluice-system.svc"
    assert given.activator_policies is policies


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "SLUICE_PROXY_IMAGE is not set"),
        ({**IMAGE, "SLUICE_HTTP_PORT": "http"}, "SLUICE_HTTP_PORT is 'http'"),
        ({**IMAGE, "SLUICE_HTTP_PORT": "65536"}, "SLUICE_HTTP_PORT is '65536'"),
        ({**IMAGE, "SLUICE_LOG_LEVEL": "info"}, "SLUICE_LOG_LEVEL is 'info'"),
        ({**IMAGE, "SLUICE_PROXY_IMAGE_PULL_POLICY": "x"}, "SLUICE_PROXY_IMAGE_PULL_POLICY is"),
        ({**IMAGE, "SLUICE_ACTIVATOR_POLICIES": "1"}, "SLUICE_ACTIVATOR_POLICIES is '1'"),
    ],
)
def test_what_will_not_do_is_named(variables: dict[str, str], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        environment(variables)
