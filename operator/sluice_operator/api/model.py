"""What all models of the API share: aliases, bounds, and rules in CEL and Python."""

from collections.abc import Callable, Hashable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
"""What Kubernetes lets most objects be called; without anchors."""

OBJECT_NAME_PATTERN = f"^{DNS_SUBDOMAIN}$"

ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=OBJECT_NAME_PATTERN)
]
SecretKey = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")
]

INT32_MAX = 2**31 - 1


Extra = dict[str, Any]


def rules(*pairs: tuple[str, str]) -> Extra:
    """CEL rules with their messages, as the schema carries them."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": text} for rule, text in pairs]}


def merged(*parts: Extra) -> Extra:
    return {key: value for part in parts for key, value in part.items()}


def list_map(*keys: str) -> Extra:
    """A list whose items are told apart by `keys`: no two are alike, and each has one owner."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


MAP: Extra = {"x-kubernetes-map-type": "atomic"}
ATOMIC: Extra = {"x-kubernetes-list-type": "atomic"}
SET: Extra = {"x-kubernetes-list-type": "set"}
PRESERVED: Extra = {"x-kubernetes-preserve-unknown-fields": True}
"""Kubernetes' own business: kept as it was written, judged by whom it is handed on to."""


def refuse(sentence: str) -> PydanticCustomError:
    """A validator's refusal, in the same words as the CEL rule it stands beside."""
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence})


def each_once(sentence: str, key: Callable[[Any], Hashable] = lambda item: item) -> AfterValidator:
    """The validator beside a list's type `set` or `map`: no two items have the same `key`."""

    def check(items: list[Any]) -> list[Any]:
        if len({key(item) for item in items}) != len(items):
            raise refuse(sentence)
        return items

    return AfterValidator(check)


class APIModel(BaseModel):
    """camelCase outside, snake_case inside; fields of newer versions are passed over."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        """As the API server has it: a field that is null gets its default."""
        if not isinstance(given, dict):
            return given
        return {key: value for key, value in given.items() if value is not None}
