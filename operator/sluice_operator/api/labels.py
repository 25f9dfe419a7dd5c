"""Labels and selectors of Kubernetes, bounded."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from sluice_operator.api.model import (
    ATOMIC,
    DNS_SUBDOMAIN,
    MAP,
    APIModel,
    Extra,
    refuse,
    rules,
)

KEY_MAX = 317
"""A prefix of 253 characters, a slash and a name of 63."""

KEY_PATTERN = rf"^({DNS_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"
VALUE_PATTERN = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=KEY_MAX, pattern=KEY_PATTERN)]
LabelValue = Annotated[str, StringConstraints(max_length=63, pattern=VALUE_PATTERN)]

NOT_KEYS = "a key is not [prefix/]name: letters, digits, - _ . and at most 63 in the name"
KEYS_RULE = (f"self.all(key, size(key) <= {KEY_MAX} && key.matches(r'{KEY_PATTERN}'))", NOT_KEYS)
"""The schema of a CRD has no word for the keys of a map: CEL says it."""


def checked_keys(labels: Mapping[str, str]) -> Mapping[str, str]:
    """`labels`, or NOT_KEYS for what Kubernetes takes for no key of a label or annotation."""
    for key in labels:
        if len(key) > KEY_MAX or not re.fullmatch(KEY_PATTERN, key):
            raise refuse(NOT_KEYS)
    return labels


LABELS: Extra = rules(KEYS_RULE)
LabelMap = Annotated[dict[str, LabelValue], AfterValidator(checked_keys)]
"""Goes with the extras of LABELS."""

VALUES_MISMATCH = "In and NotIn need values, Exists and DoesNotExist have none"


class LabelSelectorRequirement(APIModel):
    """One expression of a label selector."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                VALUES_MISMATCH,
            )
        )
    )

    key: LabelKey = Field(description="The label that is looked at.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="In: the label is there with one of values. NotIn: it is not there, or with "
        "another value. Exists: it is there. DoesNotExist: it is not."
    )
    values: list[LabelValue] = Field(
        default_factory=list,
        max_length=64,
        description="What In and NotIn compare with: at least one. None with Exists and "
        "DoesNotExist.",
        json_schema_extra=ATOMIC,
    )

    @model_validator(mode="after")
    def _values_where_needed(self) -> Self:
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            raise refuse(VALUES_MISMATCH)
        return self


class LabelSelector(APIModel):
    """A label selector of Kubernetes: all that it says must hold. Empty selects everything."""

    model_config = ConfigDict(json_schema_extra=MAP)

    match_labels: LabelMap = Field(
        default_factory=dict,
        max_length=64,
        description="Labels that must be there with just these values.",
        json_schema_extra=LABELS,
    )
    match_expressions: list[LabelSelectorRequirement] = Field(
        default_factory=list,
        max_length=64,
        description="Expressions that must hold, for what matchLabels cannot say.",
        json_schema_extra=ATOMIC,
    )
