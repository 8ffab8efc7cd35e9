"""Reviews of team statements: one of a team and month, made of marks that are never changed."""

from __future__ import annotations

from django.db import models


class MarkState(models.TextChoices):
    SEEN = "seen"
    ACCEPTED = "accepted"
    QUESTIONED = "questioned"


class MonthReview(models.Model):
    """Of one team's statement of one billing month."""

    team = models.ForeignKey("allocation.Team", on_delete=models.PROTECT)
    month = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "month"], name="one_review_of_team_and_month")
        ]


class ReviewMark(models.Model):
    """What one person said at one time. A trigger refuses UPDATE and DELETE.

    `line` is what Explain asks for the line, as an address says it ("feature=chat"); "" is the
    whole statement. `runs` are the hashes of what was calculated then.
    """

    review = models.ForeignKey(MonthReview, on_delete=models.PROTECT, related_name="marks")
    at = models.DateTimeField(auto_now_add=True)
    made_by = models.TextField()  # user name
    state = models.TextField(choices=MarkState.choices)
    line = models.TextField(blank=True, default="")
    comment = models.TextField(blank=True, default="")
    runs = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="questioned", comment=""),
                name="a_question_says_what_it_asks",
            )
        ]
