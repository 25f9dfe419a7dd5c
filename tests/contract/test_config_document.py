"""What the operator renders, the proxy reads."""

import base64
from typing import Any

import pytest

from sluice_operator.api.manifest import parse
from sluice_operator.desired.certificates import Kept, issued
from sluice_operator.desired.config_secret import config_secret, proxy_config
from sluice_operator.desired.credentials import secret_names
from sluice_operator.desired.manifest import Owner
from sluice_proxy import config as proxys
from sluice_testing.specs import GOOD, Case, manifest

NOW = 1_800_000_000.0
CERTIFICATES = issued("shop/orders", ("orders.shop.svc",), NOW, Kept())


def secrets_for(names: frozenset[str]) -> dict[str, dict[str, bytes]]:
    """A Secret that will do for every use, under each name."""
    return {
        name: {
            "username": f"role of {name}".encode(),
            "password": "pässword".encode(),
            "ca.crt": CERTIFICATES.ca.certificate.encode(),
            "tls.crt": CERTIFICATES.leaf.certificate.encode(),
            "tls.key": CERTIFICATES.leaf.key.encode(),
        }
        for name in names
    }


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_the_proxy_reads_what_the_operator_writes(case: Case) -> None:
    proxy = parse(manifest(case.changes))
    config = proxy_config(
        proxy.spec,
        "orders",
        "shop",
        secrets_for(secret_names(proxy.spec)),
        None,
        NOW,
        CERTIFICATES.shown(),
        fleet=proxys.Fleet(10, (proxys.PodShare("orders-1", 6),), 4, 3),
    )
    secret = config_secret(config, Owner("orders", "shop", "uid"))
    text = document(secret)
    assert proxys.parse(text) == config
    assert secret["metadata"]["annotations"]["sluice.dev/config-hash"] == proxys.digest(text)


def document(secret: dict[str, Any]) -> str:
    return base64.b64decode(secret["data"][proxys.CONFIG_KEY]).decode()
