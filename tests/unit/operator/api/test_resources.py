"""Quantities as Kubernetes reads and writes them."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from sluice_operator.api.resources import (
    NOT_BYTES,
    NOT_CPU,
    Quantities,
    bytes_of,
    canonical_bytes,
    canonical_cpu,
    cores,
)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0", "0"), ("250m", "0.25"), ("0.25", "0.25"), ("2", "2"), ("999.999", "999.999")],
)
def test_cores(text: str, amount: str) -> None:
    assert cores(text) == Decimal(amount)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("134217728", 2**27),
        ("128Mi", 2**27),
        ("1.5Gi", 3 * 2**29),
        ("1k", 1000),
        ("64M", 64_000_000),
        ("0.001k", 1),
        ("999999.999Ti", Decimal("999999.999") * 2**40),
    ],
)
def test_bytes(text: str, amount: Any) -> None:
    assert bytes_of(text) == amount


# The API server of Kubernetes 1.34 keeps each of the values as it is.
CPU_KEPT = {
    "0": "0", "0.0": "0", "0m": "0", "1": "1", "1.0": "1", "1000m": "1", "0.5": "500m",
    "1.25": "1250m", "100": "100", "999.999": "999999m", "10000m": "10", "0.010": "10m",
    "12.345": "12345m",
}  # fmt: skip
BYTES_KEPT = {
    "0": "0", "0Mi": "0", "1": "1", "999": "999", "1000": "1k", "1024": "1024", "1500": "1500",
    "1Ki": "1Ki", "1023Ki": "1023Ki", "1024Ki": "1Mi", "1536Mi": "1536Mi", "1.5Gi": "1536Mi",
    "0.5Gi": "512Mi", "0.001Mi": "1049", "1.001Mi": "1049625", "2048Gi": "2Ti", "1024Ti": "1Pi",
    "1000k": "1M", "1.5G": "1500M", "1000000T": "1E", "64M": "64M", "0.001k": "1",
    "134217728": "134217728", "2000000000": "2G", "1.234G": "1234M",
}  # fmt: skip


@pytest.mark.parametrize(("text", "kept"), CPU_KEPT.items())
def test_cpu_is_written_as_the_api_server_keeps_it(text: str, kept: str) -> None:
    assert canonical_cpu(text) == kept


@pytest.mark.parametrize(("text", "kept"), BYTES_KEPT.items())
def test_bytes_are_written_as_the_api_server_keeps_them(text: str, kept: str) -> None:
    assert canonical_bytes(text) == kept


def test_a_number_is_its_text() -> None:
    given = Quantities.model_validate({"cpu": 2, "memory": 0})
    assert (given.cpu, given.memory) == ("2", "0")


@pytest.mark.parametrize(
    "cpu", ["", "1k", "1.0001", "1000", "-1", "+1", "1 ", ".5", "5.", "1e3", True, 0.5, None, [1]]
)
def test_what_is_no_cpu(cpu: Any) -> None:
    if cpu is None:
        assert Quantities.model_validate({"cpu": cpu}).cpu is None
        return
    with pytest.raises(ValidationError, match=NOT_CPU):
        Quantities.model_validate({"cpu": cpu})


@pytest.mark.parametrize(
    "memory", ["", "128m", "1.5Ki", "64MB", "64 Mi", "1e9", "1000000000000000", "-5Mi", "1234567Mi"]
)
def test_what_is_no_number_of_bytes(memory: str) -> None:
    with pytest.raises(ValidationError, match=NOT_BYTES):
        Quantities.model_validate({"memory": memory})
