"""The one shape of money and quantities in the schema: `numeric` without a scale."""

from __future__ import annotations

from typing import Any

from django.db import models

COST_LIMIT = 10**15


class ExactNumericField(models.DecimalField):  # type: ignore[type-arg]  # generic in the stubs only
    """PostgreSQL `numeric` without precision or scale: every digit is kept as delivered, nothing
    rounds on insert.

    Ranges (which also refuse NaN, since NaN sorts above every number in PostgreSQL) are table
    constraints; see `within_range`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 120)
        kwargs.setdefault("decimal_places", 60)
        super().__init__(*args, **kwargs)

    def db_type(self, connection: Any) -> str:
        return "numeric"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        # The base class would quantize to `decimal_places`; the value goes to the database as it
        # is.
        return value if value is None else self.to_python(value)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if hasattr(value, "as_sql"):
            return value
        return self.get_db_prep_value(value, connection)


class CostField(ExactNumericField):
    """An amount of money in the row's currency."""


def within_range(*columns: str, name: str) -> models.CheckConstraint:
    """A table constraint that keeps each column inside +/- 1e15; it refuses NaN and infinities."""
    condition = models.Q()
    for column in columns:
        condition &= models.Q(**{f"{column}__lt": COST_LIMIT}) & models.Q(
            **{f"{column}__gt": -COST_LIMIT}
        )
    return models.CheckConstraint(condition=condition, name=name)
