"""Owners of identities, and exchange rates: what a file replaces, and what stays."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from allocation.closing.exchange_rates import freeze_rates
from allocation.models import (
    ExchangeRate,
    IdentityOwner,
)
from portal.ingest.drivers.identity_owners import IDENTITY_OWNERS
from portal.ingest.drivers.rates import RATES
from tests.factories import Costs
from tests.portal.ingest.drivers.files import (
    OCTOBER,
    bad,
    send,
)

pytestmark = pytest.mark.django_db


OWNERS = "provider,kind,value,team,feature,valid_from\n"


def test_owners_replace_the_list_of_their_provider_and_a_dry_run_tells_the_difference() -> None:
    Costs(date(2026, 9, 1))
    Costs(OCTOBER)
    send(
        IDENTITY_OWNERS,
        OWNERS + "OpenAI,api_key,key_1,search,,2026-01-01\nopenai,user,ann,sales,,2026-01-01\n"
        "anthropic,workspace,default,search,,2026-01-01\n",
    )
    text = (
        OWNERS
        + "openai,api_key,key_1,support,chat,2026-01-01\nopenai,project,p,search,,2026-10-05\n"
    )

    preview = send(IDENTITY_OWNERS, text, dry_run=True)

    (change,) = preview.changes
    assert change.moved == (
        "openai api_key key_1 2026-01-01: support chat, was search",
        "+ openai project p 2026-10-05: search",
        "- openai user ann 2026-01-01: sales",
    )
    assert IdentityOwner.objects.count() == 3
    outcome = send(IDENTITY_OWNERS, text)
    assert outcome.outdated == ["2026-09", "2026-10"]
    assert IdentityOwner.objects.filter(provider="openai").count() == 2
    assert IdentityOwner.objects.filter(provider="anthropic").count() == 1
    only_later = send(IDENTITY_OWNERS, text.replace("p,search", "p,sales"))
    assert only_later.outdated == ["2026-10"]
    assert bad(send(IDENTITY_OWNERS, OWNERS + "openai,key,k,search,,2026-01-01\n"))[0][1:3] == (
        "kind",
        "key",
    )


RATE_HEADER = "month,base,quote,rate,source\n"


def test_rates_are_kept_exact_with_their_source() -> None:
    outcome = send(
        RATES, RATE_HEADER + "2026-10,EUR,USD,1.08123456789012345678,ECB\n2026-09,EUR,USD,1.1,ECB\n"
    )

    assert outcome.status == "loaded"
    rate = ExchangeRate.objects.get(month=OCTOBER)
    assert (rate.base, rate.quote, rate.rate) == ("EUR", "USD", Decimal("1.08123456789012345678"))
    assert send(RATES, RATE_HEADER + "2026-10,EUR,USD,1.09,ECB\n").changes[0].moved == (
        "2026-10-01 EUR USD: 1.09 ECB, was 1.08123456789012345678 ECB",
    )
    assert ExchangeRate.objects.count() == 2
    wrong = "2026-10,EUR,EUR,1,ECB\n2026-10,EUR,USD,0,ECB\n2026-10,eur,USD,1,ECB\n"
    wrong += "2026-13,EUR,USD,1,ECB\n2026-10,EUR,USD,1,\n"
    assert [(line, column) for line, column, _, _ in bad(send(RATES, RATE_HEADER + wrong))] == [
        (2, "quote"),
        (3, "rate"),
        (4, "base"),
        (5, "month"),
        (6, "source"),
    ]


def test_a_frozen_rate_refuses_to_change_by_file_and_in_the_database() -> None:
    send(RATES, RATE_HEADER + "2026-09,EUR,USD,1.1,ECB\n2026-10,EUR,USD,1.2,ECB\n")
    assert freeze_rates(month=date(2026, 9, 1), now=datetime(2026, 10, 3, tzinfo=UTC)) == 1
    assert freeze_rates(month=date(2026, 9, 1), now=timezone.now()) == 0

    outcome = send(RATES, RATE_HEADER + "2026-10,EUR,USD,1.3,ECB\n2026-09,EUR,USD,1.15,ECB\n")

    assert bad(outcome) == [
        (3, "rate", "1.15", "frozen with the close of 2026-09 at 1.1 (ECB); it can't change")
    ]
    assert ExchangeRate.objects.get(month=OCTOBER).rate == Decimal("1.2")
    assert (
        send(RATES, RATE_HEADER + "2026-09,EUR,USD,1.10,ECB\n2026-10,EUR,USD,1.3,ECB\n").status
        == "loaded"
    )
    frozen = ExchangeRate.objects.filter(month=date(2026, 9, 1))
    for change in (lambda: frozen.update(rate=2), frozen.delete):
        with pytest.raises(DatabaseError, match="is frozen"), transaction.atomic():
            change()
