"""The organisation's own words for what bills and traces say."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from allocation.models.fields import ExactNumericField


class CatalogueVersion(models.Model):
    """One immutable version of the organisation's own catalogue; the highest number is in force."""

    number = models.IntegerField(unique=True)
    content_sha256 = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.TextField(null=True)
    note = models.TextField(default="")


class CatalogueEntry(models.Model):
    """What wording on bills or in traces means, asked before the built-in wording; the first that
    matches decides.
    """

    version = models.ForeignKey(CatalogueVersion, on_delete=models.CASCADE, related_name="entries")
    position = models.IntegerField()
    side = models.TextField()  # bill, trace, unit
    seen_provider = models.TextField(
        null=True
    )  # only where the provider, as normalised, is this one; NULL: any
    pattern = models.TextField()  # RE2, looked for in lower-case wording
    provider = models.TextField(null=True)  # what it means; NULL: what the built-in wording says
    model = models.TextField(null=True)
    token_class = models.TextField(null=True)
    tier = models.TextField(null=True)
    tokens = models.TextField(null=True)  # of a unit: how many tokens one of it is

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "position"], name="catalogue_entry_once")
        ]


class PriceVersion(models.Model):
    """One imported price list, immutable."""

    source = models.TextField()  # "genai-prices 0.2.3 + own entries"
    content_sha256 = models.TextField()
    imported_at = models.DateTimeField(auto_now_add=True)


class Price(models.Model):
    """USD per million tokens of one token class of one listed model, valid from a time until the
    next of the same key.
    """

    version = models.ForeignKey(PriceVersion, on_delete=models.CASCADE)
    provider = models.TextField()
    model = models.TextField()  # the price list's own model id
    tier = models.TextField(null=True)  # NULL: every tier without a price of its own
    token_class = models.TextField()  # a token column of UsageMeasures, or calls
    context_from = models.IntegerField(default=0)  # input tokens, inclusive lower end of the band
    time_of_day_from = models.TimeField(null=True)  # UTC window, both or neither
    time_of_day_to = models.TimeField(null=True)
    valid_from = models.DateField(null=True)
    is_undated = models.BooleanField(default=True)
    per_million = ExactNumericField()
    source = models.TextField(default="", db_default="")  # who states it

    class Meta:
        indexes = [
            models.Index(fields=["version", "provider", "model"], name="price_version_model")
        ]


class SourcePrice(models.Model):
    """A price of a source beside the package, as it stands there now: USD per million tokens from a
    day on. Provider and model are as calls name them.
    """

    kind = models.TextField()  # own, litellm
    provider = models.TextField()
    model = models.TextField()
    tier = models.TextField(null=True)
    token_class = models.TextField()
    context_from = models.IntegerField(default=0)
    valid_from = models.DateField(null=True)
    per_million = ExactNumericField()
    overrides = models.BooleanField(default=False)  # the package's price gives way

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "kind",
                    "provider",
                    "model",
                    "tier",
                    "token_class",
                    "context_from",
                    "valid_from",
                ],
                nulls_distinct=False,
                name="source_price_once",
            )
        ]


class PriceMatch(models.Model):
    """Which listed model a usage dimension's (provider, model) resolves to; resolved once per
    distinct pair.
    """

    version = models.ForeignKey(PriceVersion, on_delete=models.CASCADE)
    provider = models.TextField()
    model_text = models.TextField()
    price_provider = models.TextField(null=True)
    price_model = models.TextField(null=True)  # NULL: unpriced

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "provider", "model_text"], name="price_match_once"
            )
        ]


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
