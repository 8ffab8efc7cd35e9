"""Versioned list prices."""

from __future__ import annotations

from django.db import models

from allocation.models.fields import ExactNumericField


class PriceVersion(models.Model):
    """One imported price list, immutable."""

    source = models.TextField()  # "genai-prices 0.2.3"
    content_sha256 = models.TextField(unique=True)
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

    class Meta:
        indexes = [
            models.Index(fields=["version", "provider", "model"], name="price_version_model")
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
