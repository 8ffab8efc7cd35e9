"""The organisation's own words for what bills and traces say."""

from __future__ import annotations

from django.db import models


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
    side = models.TextField()  # bill, trace
    seen_provider = models.TextField(
        null=True
    )  # only where the provider, as normalised, is this one; NULL: any
    pattern = models.TextField()  # RE2, looked for in lower-case wording
    provider = models.TextField(null=True)  # what it means; NULL: what the built-in wording says
    model = models.TextField(null=True)
    token_class = models.TextField(null=True)
    tier = models.TextField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "position"], name="catalogue_entry_once")
        ]
