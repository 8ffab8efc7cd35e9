"""The admin page: people, their roles, and keys."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.admin.views import (
    CHANGES,
    add_key,
    add_user,
    change_user,
    confirm_removal,
    revoke,
    show_admin,
)
from portal.pages.registry import PageSpec

ADMIN = PageSpec(
    name="admin",
    label="Admin",
    position=140,
    group="set_up",
    roles=frozenset({Role.FINOPS_ADMIN}),
    urls=(
        path("admin/", show_admin, name="admin"),
        path("admin/users/", add_user, name="admin_add_user"),
        path(
            "admin/users/<int:user_id>/second-factor/", confirm_removal, name="admin_second_factor"
        ),
        *(
            path(
                f"admin/users/<int:user_id>/{action}/",
                change_user,
                {"action": action},
                name=f"admin_{action}",
            )
            for action in (*CHANGES, "password")
        ),
        path("admin/keys/", add_key, name="admin_add_key"),
        path("admin/keys/<int:key_id>/revoke/", revoke, name="admin_revoke_key"),
    ),
)
