"""/admin/: people and their roles, API keys, and the list of changes. For FinOps admins."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from django import forms
from django.contrib import messages
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_safe

from allocation.models import Team
from portal.accounts.keys import create_key, revoke_key
from portal.accounts.lists import (
    api_key,
    api_keys,
    everybody,
    membership_of,
    newest_changes,
    person,
    teams_by_name,
)
from portal.accounts.models import KeyScope, Role, User
from portal.accounts.people import (
    NameTaken,
    OwnAccess,
    add_person,
    grant,
    new_password,
    remove_second_factor,
    set_active,
    withdraw,
)
from portal.pages.frame.doorway import found
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState

SCOPE_NAMES = {
    KeyScope.INGEST: "ingest: send traces and bills",
    KeyScope.READ: "read: ask for costs",
    KeyScope.GATE: "gate: ask before spending",
    KeyScope.ADMIN: "admin: read and send",
}
LIFETIMES = {"90": "in 90 days", "365": "in a year", "": "never"}
CHANGES_SHOWN = 30


class TeamChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, team: Team) -> str:
        return team.name


def any_team(empty_label: str) -> TeamChoice:
    return TeamChoice(
        teams_by_name(),
        to_field_name="slug",
        required=False,
        empty_label=empty_label,
        label="Team",
    )


class PersonForm(forms.Form):
    username = forms.CharField(
        max_length=150, label="Sign-in name", validators=[UnicodeUsernameValidator()]
    )
    full_name = forms.CharField(max_length=150, required=False, label="Full name")
    email = forms.EmailField(required=False, label="E-mail")


class GrantForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)
    team = any_team("no team")

    def clean(self) -> dict[str, object]:
        checked = super().clean() or {}
        if (checked.get("role") == Role.TEAM_LEAD) != bool(checked.get("team")):
            raise forms.ValidationError("A team lead leads a team; the other roles name none.")
        return checked


class KeyForm(forms.Form):
    name = forms.CharField(max_length=100, label="What it is for")
    scope = forms.ChoiceField(choices=list(SCOPE_NAMES.items()))
    team = any_team("every team")
    expires = forms.ChoiceField(choices=list(LIFETIMES.items()), required=False, initial="90")

    def expires_at(self, now: datetime) -> datetime | None:
        days = self.cleaned_data["expires"]
        return now + timedelta(days=int(days)) if days else None


@require_safe
def show_admin(request: HttpRequest) -> HttpResponse:
    return admin_page(request)


@sent_from("admin")
@sensitive_variables("password")
def add_user(request: HttpRequest) -> HttpResponse:
    form = PersonForm(request.POST, label_suffix="")
    if not form.is_valid():
        return admin_page(request, person_form=form)
    try:
        user, password = add_person(**form.cleaned_data, acting_user=acting(request))
    except NameTaken as error:
        form.add_error("username", str(error))
        return admin_page(request, person_form=form)
    return admin_page(request, shown_once=password, shown_for=f"The password of {user.username}")


@sent_from("admin")
@sensitive_variables("password")
def change_user(request: HttpRequest, user_id: int, action: str) -> HttpResponse:
    """`action`: a key of CHANGES, or password."""
    user = found(person(user_id))
    try:
        if action == "password":
            password = new_password(user=user, acting_user=acting(request))
            return admin_page(
                request, shown_once=password, shown_for=f"The new password of {user.username}"
            )
        problem = CHANGES[action](request, user)
    except OwnAccess as error:
        problem = str(error)
    if problem:
        messages.error(request, problem)
    return redirect("admin")


def grant_role(request: HttpRequest, user: User) -> str | None:
    form = GrantForm(request.POST)
    if not form.is_valid():
        return " ".join(str(text) for texts in form.errors.values() for text in texts)
    role = Role(form.cleaned_data["role"])
    grant(user=user, role=role, team=form.cleaned_data["team"], acting_user=acting(request))
    return None


def withdraw_role(request: HttpRequest, user: User) -> str | None:
    number = request.POST.get("membership", "")
    membership = membership_of(user, int(number)) if number.isdecimal() else None
    if membership:
        withdraw(membership=membership, acting_user=acting(request))
    return None if membership else "That role was withdrawn before."


def activate(request: HttpRequest, user: User) -> None:
    set_active(user=user, active=True, acting_user=acting(request))


def deactivate(request: HttpRequest, user: User) -> None:
    set_active(user=user, active=False, acting_user=acting(request))


def remove_factor(request: HttpRequest, user: User) -> str | None:
    """Can't be undone and makes sign-in weaker, so it needs the sign-in name typed in."""
    if request.POST.get("username", "").strip() != user.username:
        return f"Nothing was changed: the name typed in is not {user.username}."
    if not remove_second_factor(user=user, acting_user=acting(request)):
        return f"{user.username} has no second factor."
    messages.success(
        request, f"{user.username} signs in with the password alone until they set up a new app."
    )
    return None


CHANGES = {
    "grant": grant_role,
    "withdraw": withdraw_role,
    "activate": activate,
    "deactivate": deactivate,
    "remove-second-factor": remove_factor,
}


@require_safe
def confirm_removal(request: HttpRequest, user_id: int) -> HttpResponse:
    """Says what the removal of a second factor does, and asks for the name."""
    user = found(person(user_id))
    if user == acting(request) or not user.has_second_factor:  # type: ignore[attr-defined]
        return redirect("admin")
    title = f"Remove the second factor of {user.get_full_name() or user.username}"
    context = {"person": user, "crumbs": [Crumb("Admin", reverse("admin")), Crumb("Second factor")]}
    state = PageState.from_request(request)
    return render_page(
        request,
        "admin/second_factor.html",
        context,
        page="admin",
        title=title,
        state=state,
        choices=(),
    )


@sent_from("admin")
@sensitive_variables("secret")
def add_key(request: HttpRequest) -> HttpResponse:
    form = KeyForm(request.POST, label_suffix="")
    if not form.is_valid():
        return admin_page(request, key_form=form)
    checked = form.cleaned_data
    key, secret = create_key(
        checked["name"],
        checked["scope"],
        checked["team"],
        acting(request).username,
        form.expires_at(timezone.now()),
    )
    return admin_page(request, shown_once=secret, shown_for=f"The key {key.name}")


@sent_from("admin")
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    revoke_key(found(api_key(key_id)), acting(request).username)
    return redirect("admin")


def admin_page(
    request: HttpRequest,
    *,
    person_form: PersonForm | None = None,
    key_form: KeyForm | None = None,
    shown_once: str | None = None,
    shown_for: str = "",
) -> HttpResponse:
    """`shown_once` is a secret: it goes into this one answer and is kept nowhere, the session
    included.
    """
    context = {
        "people": everybody(),
        "keys": api_keys(),
        "changes": newest_changes(limit=CHANGES_SHOWN),
        "person_form": person_form or PersonForm(label_suffix=""),
        "grant_form": GrantForm(auto_id=False),
        "key_form": key_form or KeyForm(label_suffix=""),
        "shown_once": shown_once,
        "shown_for": shown_for,
        "now": timezone.now(),
        "me": acting(request),
    }
    invalid = any(form is not None and form.errors for form in (person_form, key_form))
    state = PageState.from_request(request)
    return render_page(
        request,
        "admin/page.html",
        context,
        page="admin",
        title="Admin",
        state=state,
        status=400 if invalid else 200,
    )


def acting(request: HttpRequest) -> User:
    return cast(User, request.user)
