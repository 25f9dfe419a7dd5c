"""The generator of structural schemas: what it changes, and what it will not do."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, StringConstraints

from sluice_operator.api.crd import NotStructural, structural

Text = Annotated[str, StringConstraints(max_length=10)]


def schema_of(kind: Any, **field: Any) -> dict[str, Any]:
    """The schema of one described field of type `kind`."""
    model = type("M", (BaseModel,), {
        "__annotations__": {"f": kind}, "f": Field(description="d", **field),
    })  # fmt: skip
    found: dict[str, Any] = structural(model)["properties"]["f"]
    return found


class Inner(BaseModel):
    number: int = Field(default=3, description="d")
    other: Text | None = Field(default=None, description="d")


class Itself(BaseModel):
    child: "Itself | None" = Field(default=None, description="d")


def test_an_optional_field_is_plainly_absent() -> None:
    assert schema_of(Text | None, default=None) == {
        "type": "string", "maxLength": 10, "description": "d",
    }  # fmt: skip


def test_a_constant_becomes_an_enum() -> None:
    assert schema_of(Literal["a"])["enum"] == ["a"]


def test_a_model_is_inlined_and_its_default_left_to_its_fields() -> None:
    found = schema_of(Inner, default=Inner())
    assert found["default"] == {}
    assert found["properties"]["number"] == {
        "default": 3, "description": "d", "type": "integer",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "field", "why"),
    [
        (Any, {}, "no type"),
        (str, {}, "string without maxLength"),
        (list[Text], {}, "array without maxItems"),
        (dict[str, Text], {}, "object without maxProperties"),
        (dict[str, Any], {"max_length": 3}, "untyped"),
        (Text | int, {}, "union of 2"),
        (tuple[Text, int], {}, "keyword prefixItems"),
        (Itself, {}, "Itself contains itself"),
        (Inner, {"default": Inner(number=4)}, "not the default of the field"),
        (int, {"gt": 3}, "keyword exclusiveMinimum"),
    ],
)
def test_what_cannot_be_said_is_refused(kind: Any, field: dict[str, Any], why: str) -> None:
    with pytest.raises(NotStructural, match=why):
        schema_of(kind, **field)


def test_a_field_without_a_description_is_refused() -> None:
    class Silent(BaseModel):
        number: int

    with pytest.raises(NotStructural, match="no description"):
        structural(Silent)
