"""Who may see and do what: users, their roles, API keys."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property


class User(AbstractUser):
    """A person. Permissions come from memberships only, read on every request."""

    @cached_property
    def held(self) -> list[tuple[str, str | None]]:
        """Role and team of each membership. Read once per object, and every request has its own."""
        return list(self.memberships.values_list("role", "team__slug"))


class Role(models.TextChoices):
    EXECUTIVE = "executive", "Executive"
    TEAM_LEAD = "team_lead", "Team lead"
    FINANCE = "finance", "Finance"
    ON_CALL = "on_call", "On-call"
    FINOPS_ADMIN = "finops_admin", "FinOps admin"


class Membership(models.Model):
    """One role of one user; a team lead's names the team."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.TextField(choices=Role.choices)
    team = models.ForeignKey("allocation.Team", on_delete=models.CASCADE, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "team"],
                name="membership_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(role="team_lead", team__isnull=False)
                | (~Q(role="team_lead") & Q(team__isnull=True)),
                name="only_team_leads_name_a_team",
            ),
        ]

    def __str__(self) -> str:
        """ "Finance", "Team lead of Search"."""
        role = self.get_role_display()
        return f"{role} of {self.team.name}" if self.team else role


class KeyScope(models.TextChoices):
    INGEST = "ingest"
    READ = "read"
    GATE = "gate"
    ADMIN = "admin"


class ApiKey(models.Model):
    """A program's credential: 256 random bits, shown once, kept as SHA-256."""

    name = models.TextField()
    prefix = (
        models.TextField()
    )  # shown in lists and found by secret scanners: apn_<scope>_<first characters>
    key_sha256 = models.BinaryField(unique=True)
    scope = models.TextField(choices=KeyScope.choices)
    team = models.ForeignKey(
        "allocation.Team", on_delete=models.PROTECT, null=True
    )  # NULL: may speak for all teams
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.TextField(null=True)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)


class AuditEntry(models.Model):
    """One change of access. A trigger refuses UPDATE and DELETE; the application's role has no
    TRUNCATE anyway.
    """

    at = models.DateTimeField(auto_now_add=True)
    actor = models.TextField(null=True)  # user name; NULL: the command line
    action = models.TextField()
    subject = models.TextField()
    detail = models.JSONField(default=dict)
