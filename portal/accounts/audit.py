"""Who changed what about access. Entries are added in the transaction of the change and never
altered.
"""

from __future__ import annotations

from typing import Any

from portal.accounts.models import AuditEntry


def record(
    actor: str | None, action: str, subject: str, detail: dict[str, Any] | None = None
) -> None:
    """Write down one change. `actor` is a user name, None for the command line; `detail` names ids
    and roles, no secrets.
    """
    AuditEntry.objects.create(actor=actor, action=action, subject=subject, detail=detail or {})
