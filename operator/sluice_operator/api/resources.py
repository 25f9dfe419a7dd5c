"""CPU and memory as Kubernetes writes them: what is one, how much it is, which is more."""

import math
import re
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from sluice_operator.api.model import APIModel, Extra, merged, refuse, rules

CPU_PATTERN = r"^([0-9]{1,6}m|[0-9]{1,3}(\.[0-9]{1,3})?)$"
BYTES_PATTERN = r"^([0-9]{1,15}|[0-9]{1,6}Ki|[0-9]{1,6}(\.[0-9]{1,3})?([MGT]i|[kMGT]))$"
NOT_CPU = "not an amount of CPU below 1000 such as 250m, 0.5 or 2"
NOT_BYTES = "not a number of bytes such as 64Mi, 1.5Gi or 134217728"

_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = ("", "k", "M", "G", "T", "P", "E")


def cores(text: str) -> Decimal:
    """How many cores a quantity of CPU is."""
    return Decimal(text[:-1]) / 1000 if text.endswith("m") else Decimal(text)


def bytes_of(text: str) -> Decimal:
    """How many bytes a quantity of memory or storage is, before the API server rounds it up."""
    number = text.rstrip("KMGTki")
    suffix = text[len(number) :]
    if suffix.endswith("i"):
        return Decimal(number) * Decimal(1024) ** _BINARY.index(suffix)
    return Decimal(number) * Decimal(1000) ** _DECIMAL.index(suffix)


def canonical_cpu(text: str) -> str:
    """As the API server keeps it, whatever was written: whole cores, or else thousandths."""
    thousandths = int(cores(text) * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def canonical_bytes(text: str) -> str:
    """As the API server keeps it, whatever was written: the largest unit without a fraction."""
    amount = math.ceil(bytes_of(text))
    if text.endswith("i") and amount >= 1024:
        return _in_units(amount, 1024, _BINARY)
    return _in_units(amount, 1000, _DECIMAL)


def _in_units(amount: int, step: int, units: tuple[str, ...]) -> str:
    power = 0
    while amount and amount % step == 0:
        amount, power = amount // step, power + 1
    return f"{amount}{units[power]}"


def _cpu(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(CPU_PATTERN, text):
        raise refuse(NOT_CPU)
    return text


def _bytes(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(BYTES_PATTERN, text):
        raise refuse(NOT_BYTES)
    return text


def _text(value: Any) -> str:
    """A number counts as its text; anything else is no quantity."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole or isinstance(value, str) else ""


def _schema(rule: str, sentence: str) -> Extra:
    return merged({"x-kubernetes-int-or-string": True}, rules((rule, sentence)))


CPU = Annotated[
    str,
    BeforeValidator(_cpu),
    WithJsonSchema(
        _schema(
            f"type(self) == string ? self.matches(r'{CPU_PATTERN}') : self >= 0 && self < 1000",
            NOT_CPU,
        )
    ),
]
Bytes = Annotated[
    str,
    BeforeValidator(_bytes),
    WithJsonSchema(
        _schema(
            f"type(self) == string ? self.matches(r'{BYTES_PATTERN}') "
            ": self >= 0 && self < 1000000000000000",
            NOT_BYTES,
        )
    ),
]


class Quantities(APIModel):
    """Amounts of what a container may need. Each may be absent."""

    cpu: CPU | None = Field(
        default=None,
        description="Cores, in steps of a thousandth: 250m is a quarter of a core, as is 0.25. "
        "A proxy is one process with one thread and uses at most one core; more cores mean more "
        "replicas.",
    )
    memory: Bytes | None = Field(
        default=None,
        description="Bytes of memory, best with a unit such as Mi (1024 * 1024). A pod needs some "
        "kilobytes for each client that is connected, more where clients use TLS, beyond what its "
        "process takes: give more where one pod has thousands of clients. 128m is refused: it "
        "would be an eighth of a byte.",
    )
    ephemeral_storage: Bytes | None = Field(
        default=None,
        alias="ephemeral-storage",
        description="Bytes on the node's disk. The proxy writes none but its log.",
    )


REQUEST_ABOVE_LIMIT = "a request must not be above its limit"
_NAMES = ("cpu", "memory", "ephemeral__dash__storage")


def _within(name: str) -> str:
    """CEL: the request of `name` is within its limit, as far as both are there and quantities."""
    request, limit = f"self.requests.{name}", f"self.limits.{name}"
    return (
        f"(!has({request}) || !has({limit}) || "
        f"!isQuantity(string({request})) || !isQuantity(string({limit})) || "
        f"!quantity(string({limit})).isLessThan(quantity(string({request}))))"
    )


class Resources(APIModel):
    """CPU and memory of the proxy's container."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.requests) || !has(self.limits) || ("
                + " && ".join(map(_within, _NAMES))
                + ")",
                REQUEST_ABOVE_LIMIT,
            )
        )
    )

    requests: Quantities = Field(
        default=Quantities(),
        description="What a node must have free to take a pod; an HPA reckons its percentages "
        "from it. Where neither a request nor a limit is given: cpu 50m and memory 64Mi. Where "
        "there is only a limit, Kubernetes takes it for the request, too.",
    )
    limits: Quantities = Field(
        default=Quantities(),
        description="What a pod may use at most. Absent: no limit. A limit on CPU stalls all "
        "clients of a pod at once whenever it is reached: rather give none. A pod above its "
        "limit of memory is killed, and its clients with it.",
    )

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        pairs = (
            (cores, self.requests.cpu, self.limits.cpu),
            (bytes_of, self.requests.memory, self.limits.memory),
            (bytes_of, self.requests.ephemeral_storage, self.limits.ephemeral_storage),
        )
        for amount, request, limit in pairs:
            if request is not None and limit is not None and amount(request) > amount(limit):
                raise refuse(REQUEST_ABOVE_LIMIT)
        return self
