"""What callers may send. Names that are not declared are refused, and so is a parameter given
twice.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from reports.readable import exact

MONTH = "^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])$"
PAGE_LIMIT = 500
OFFSET_LIMIT = 1_000_000


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses keys it does not declare, so that a misspelt or forbidden one is never silently
    ignored.
    """

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if hasattr(data, "keys") else []
        if unknown:
            allowed = ", ".join(sorted(self.fields)) or "none"
            raise ValidationError(
                {name: [f"Unknown parameter. Allowed: {allowed}."] for name in unknown}
            )
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "pattern": MONTH, "example": "2026-10"})
class MonthField(serializers.Field[Any, Any, Any, Any]):
    """A calendar month `YYYY-MM`, given on as its first day."""

    default_error_messages = {"invalid": "A month reads YYYY-MM, for example 2026-10."}

    def to_internal_value(self, data: Any) -> date:
        if not isinstance(data, str) or not re.fullmatch(MONTH, data, re.ASCII):
            self.fail("invalid")
        return date.fromisoformat(f"{data}-01")

    def to_representation(self, value: date) -> str:
        return f"{value:%Y-%m}"


@extend_schema_field({"type": "string", "example": "12.340000000001"})
class AmountField(serializers.Field[Any, Any, Any, Any]):
    """An exact amount or quantity: every digit, as a string, so that no reader makes a binary float
    of it.
    """

    def to_representation(self, value: Decimal) -> str:
        return exact(value)


class NoParameters(StrictSerializer):
    pass


class PageParameters(StrictSerializer):
    limit = serializers.IntegerField(min_value=1, max_value=PAGE_LIMIT, default=100)
    offset = serializers.IntegerField(min_value=0, max_value=OFFSET_LIMIT, default=0)


def parameters_of(request: Request, kind: type[StrictSerializer]) -> dict[str, Any]:
    """The checked query parameters; raises ValidationError (400) naming each one that is wrong."""
    repeated = [name for name, values in request.query_params.lists() if len(values) > 1]
    if repeated:
        raise ValidationError({name: ["Given more than once."] for name in repeated})
    checked = kind(data=request.query_params.dict())
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
