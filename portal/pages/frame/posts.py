"""Addresses that forms are sent to. Asked for without a form, they lead back to the page that has
it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.urls import reverse

from portal.accounts.access import View


def sent_from(page: str) -> Callable[[View], View]:
    """Guards a view that takes posts alone. Signing in again, a reload without the form or another
    choice in the top bar ask for the same address by GET: they get the page of that name, with
    their parameters.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method == "POST":
                return view(request, *args, **kwargs)
            if request.method not in ("GET", "HEAD"):
                return HttpResponseNotAllowed(["POST"])
            query = request.META.get("QUERY_STRING", "")
            address = f"{reverse(page)}?{query}" if query else reverse(page)
            return HttpResponse(status=303, headers={"Location": address})

        return guarded

    return decorate
