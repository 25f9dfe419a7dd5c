"""What all models of the API share: aliases, bounds, and rules in CEL and Python."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

OBJECT_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=OBJECT_NAME_PATTERN)
]
SecretKey = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")
]


Extra = dict[str, Any]


def rules(*pairs: tuple[str, str]) -> Extra:
    """CEL rules with their messages, as the schema carries them."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": text} for rule, text in pairs]}


def merged(*parts: Extra) -> Extra:
    return {key: value for part in parts for key, value in part.items()}


MAP: Extra = {"x-kubernetes-map-type": "atomic"}
ATOMIC: Extra = {"x-kubernetes-list-type": "atomic"}
SET: Extra = {"x-kubernetes-list-type": "set"}


def refuse(sentence: str) -> PydanticCustomError:
    """A validator's refusal, in the same words as the CEL rule it stands beside."""
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence})


class APIModel(BaseModel):
    """camelCase outside, snake_case inside; fields of newer versions are passed over."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, strict=True)
