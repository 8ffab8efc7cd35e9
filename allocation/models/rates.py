"""Monthly exchange rates."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from allocation.models.fields import ExactNumericField


class ExchangeRate(models.Model):
    """What one unit of `base` is in `quote` for one month. Frozen rates never change: a trigger
    refuses it, too.
    """

    month = models.DateField()
    base = models.TextField()  # ISO 4217
    quote = models.TextField()
    rate = ExactNumericField()
    source = models.TextField()  # who published it
    uploaded_at = models.DateTimeField()
    frozen_at = models.DateTimeField(null=True)  # set when the month closes

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["month", "base", "quote"], name="exchange_rate_once"),
            models.CheckConstraint(
                condition=Q(rate__gt=0) & Q(rate__lt=10**15), name="exchange_rate_positive"
            ),
            models.CheckConstraint(
                condition=~Q(base=models.F("quote")), name="exchange_rate_of_two_currencies"
            ),
        ]
