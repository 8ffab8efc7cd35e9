"""The bare address leads to the first page the reader may open."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from portal.accounts.access import without_role
from portal.accounts.models import User
from portal.pages.registry import page_address, pages, rights_of


@login_required
def home(request: HttpRequest) -> HttpResponse:
    held = rights_of(cast(User, request.user))
    for spec in pages().values():
        if spec.label and spec.name in held:
            return redirect(page_address(spec.name))
    return without_role(request)
