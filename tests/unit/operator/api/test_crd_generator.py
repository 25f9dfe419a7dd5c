"""The generator of structural schemas: what it changes, and what it will not do."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, StringConstraints, WithJsonSchema

from sluice_operator.api.crd import NotStructural, structural

Text = Annotated[str, StringConstraints(max_length=10)]
LIST = {"x-kubernetes-list-type": "atomic"}
OPEN = {"x-kubernetes-preserve-unknown-fields": True}
INT_OR_STRING = {"x-kubernetes-int-or-string": True}
Number = Annotated[str, WithJsonSchema(INT_OR_STRING)]


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


class Outer(BaseModel):
    inner: Inner = Field(default=Inner(), description="d")
    labels: dict[str, Text] = Field(default_factory=dict, max_length=3, description="d")
    texts: list[Text] = Field(
        default_factory=list, max_length=3, description="d", json_schema_extra=LIST
    )


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


def test_a_default_of_models_in_models_is_left_to_their_fields() -> None:
    found = schema_of(Outer, default=Outer())
    assert found["default"] == {}
    assert found["properties"]["inner"]["default"] == {}
    with pytest.raises(NotStructural, match="default of inner is not the default"):
        schema_of(Outer, default=Outer(inner=Inner(number=4)))
    with pytest.raises(NotStructural, match="default of labels is not the default"):
        schema_of(Outer, default=Outer(labels={"a": "b"}))


def test_an_object_is_open_where_the_model_says_so() -> None:
    found = schema_of(dict[str, Any], max_length=3, json_schema_extra=OPEN)
    assert found == {"type": "object", "maxProperties": 3, "description": "d", **OPEN}
    inside = schema_of(
        list[Annotated[dict[str, Any], Field(max_length=3, json_schema_extra=OPEN)]],
        max_length=2,
        json_schema_extra=LIST,
    )
    assert inside["items"] == {"type": "object", "maxProperties": 3, **OPEN}


def test_a_quantity_is_a_number_or_a_text() -> None:
    assert schema_of(Number) == {"description": "d", **INT_OR_STRING}
    assert schema_of(Number | None, default=None) == {"description": "d", **INT_OR_STRING}


@pytest.mark.parametrize(
    ("kind", "field", "why"),
    [
        (Any, {}, "no type"),
        (str, {}, "string without maxLength"),
        (list[Text], {}, "array without maxItems"),
        (dict[str, Text], {}, "object without maxProperties"),
        (list[Text], {"max_length": 3}, "array without x-kubernetes-list-type"),
        (dict[str, Any], {"max_length": 3}, "untyped"),
        (dict[str, Any], {"json_schema_extra": OPEN}, "object without maxProperties"),
        (Inner, {"json_schema_extra": OPEN}, "properties and x-kubernetes-preserve"),
        (Text, {"json_schema_extra": INT_OR_STRING}, "type and x-kubernetes-int-or-string"),
        (Text, {"json_schema_extra": {"x-kubernetes-embedded-resource": True}}, "no place"),
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
