"""The bare address leads to the first page the reader may open."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path

from portal.accounts.access import pages_of, without_role
from portal.accounts.models import User
from portal.pages.frame.frame import LABELS, page_address


@login_required
def home(request: HttpRequest) -> HttpResponse:
    for page in pages_of(cast(User, request.user)):
        address = page_address(page)
        if page in LABELS and address:
            return redirect(address)
    return without_role(request)


urlpatterns = [path("", home, name="home")]
