"""What bills and calls are joined on, and what calls declare of themselves. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from allocation.catalogue.entries import TRACE, Entries, meaning
from allocation.catalogue.vocabulary import UNNAMED_DOORS, canonical_model
from allocation.organisation.targets import Owner
from allocation.storage.rows import NULL, copy_cells

# Names under which traces and bills may mean the same door of a provider.
SAME_PROVIDER = {"gcp.gen_ai": "gcp.vertex_ai", "azure.ai.inference": "azure.ai.openai"}
ANY_PROJECT = "*"
WEIGHTED_PLACES = 6  # decimal places of token counts that sampling weights made fractions of


class Key(NamedTuple):
    """What bills and traces are joined on.

    `project` None is a key of its own; ANY_PROJECT stands for all projects together. `region` None
    stands for all regions together; `model` None, on reserved capacity alone, for all models.
    """

    provider: str | None
    project: str | None
    model: str | None
    is_batch: bool
    is_reserved: bool = False  # served by reserved capacity
    region: str | None = None


def reserved_key(provider: str | None, project: str | None, model: str | None) -> Key:
    return Key(provider, project, model, False, is_reserved=True)


class BilledKeys(NamedTuple):
    """What a bill tells apart, as far as calls have to know it."""

    separate: frozenset[Key] = frozenset()  # of batch, reserved and regional lines
    # By provider, where calls without a project are placed: only these are projects of calls.
    projects: Mapping[str | None, frozenset[str]] = {}

    def lines(self) -> list[str]:
        """Equal for equal content."""
        projects = [(str(name), sorted(own)) for name, own in self.projects.items()]
        return [*sorted(map(repr, self.separate)), *map(str, sorted(projects))]


def billed_as(key: Key, billed: BilledKeys) -> Key:
    """The key under which the bill has a call.

    Batch, reserved and regional calls are among all others where the bill has no line for them,
    and what the bill does not know as a project is none.
    """

    def is_billed(wanted: Key) -> bool:
        return wanted in billed.separate or wanted._replace(project=ANY_PROJECT) in billed.separate

    known = billed.projects.get(key.provider)
    if known is not None and key.project not in known:
        key = key._replace(project=None)
    plain = key._replace(region=None)
    if plain.is_batch and not is_billed(plain) and not is_billed(key):
        plain = plain._replace(is_batch=False)
    if plain.is_reserved and not is_billed(plain) and not is_billed(plain._replace(model=None)):
        plain = plain._replace(is_reserved=False)
    regional = plain._replace(region=key.region)
    return regional if key.region is not None and is_billed(regional) else plain


class PartOfCalls(NamedTuple):
    """From where to where of some calls; parts that follow each other add up to the last token."""

    start: Fraction
    end: Fraction

    @property
    def share(self) -> Fraction:
        return self.end - self.start

    def of(self, amount: int) -> int:
        return int(amount * self.end) - int(amount * self.start)


ALL_CALLS = PartOfCalls(Fraction(0), Fraction(1))
# Keys under which the bill has some calls, each with its part of them.
Placed = tuple[tuple[Key, PartOfCalls], ...]


class CallNames(NamedTuple):
    """What calls declare of themselves, with the side of a call between agents that pays for it."""

    text: str  # as the database wrote it, in COPY's text format
    key: Key
    attributes: tuple[str | None, ...]  # as declared_owner reads them
    caller: str | None  # a gateway's key, where the call names no team


class DeclaredUsage(NamedTuple):
    """The usage of one UTC day of all calls that declare the same."""

    day: date
    key: Key
    attributes: tuple[str | None, ...]  # as declared_owner reads them
    rung: int
    calls: str
    tokens: tuple[str, ...]  # as TOKEN_COLUMNS, plain decimal texts
    list_cost: str | None  # None: some of it has no price
    variance: tuple[int, int]  # by sampling, of input and of output tokens
    caller: str | None = None  # a gateway's key, where the calls name no team


def declared_owner(row: DeclaredUsage) -> Owner:
    """The row's attributes as names to be resolved."""
    team, feature, product, environment, customer, phase, *partner = row.attributes
    return Owner(
        team,
        feature,
        product,
        environment,
        customer,
        phase,
        partner_team=partner[0],
        partner_feature=partner[1],
    )


def places_of_rows(rows: Iterable[DeclaredUsage]) -> int:
    """Decimal places that keep every token count whole."""
    has_fractions = any("." in text for row in rows for text in row.tokens)
    return WEIGHTED_PLACES if has_fractions else 0


# ---------------------------------------------------------------- as the database writes it


def call_names(text: str, *, caller_pays: bool = True, entries: Entries = ()) -> CallNames:
    """What one usage dimension declares, from its cells in COPY's text format.

    Providers stand under one name, models as the organisation's own catalogue has them.
    """
    cells = copy_cells(text)
    return CallNames(
        text=text,
        key=declared_key(tuple(cells[:5]), entries),
        attributes=paying(tuple(cells[5:13]), caller_pays=caller_pays),
        caller=cells[13],
    )


def declared_usage(day: date, names: CallNames, numbers: str) -> DeclaredUsage:
    """A row of usage; `numbers` are its columns from the rung on, in COPY's text format."""
    rung, calls, *tokens, list_cost, variance_input, variance_output = numbers.split("\t")
    return DeclaredUsage(
        day=day,
        key=names.key,
        attributes=names.attributes,
        rung=int(rung),
        calls=calls,
        tokens=tuple(tokens),
        list_cost=None if list_cost == NULL else list_cost,
        variance=(int(variance_input), int(variance_output)),
        caller=names.caller,
    )


def declared_key(declared: tuple[str | None, ...], entries: Entries = ()) -> Key:
    """The key of a declared provider, project, model, tier and region.

    In the calls' own words, or in those of the organisation's own catalogue where it knows them.
    """
    provider, project, model, tier, region = declared
    own = meaning(entries, TRACE, provider, (model or "").lower()) if entries else None
    if own:
        provider = own.provider or provider
        tier = own.tier or tier
    if provider not in UNNAMED_DOORS:
        provider = SAME_PROVIDER.get(provider or "", provider)
    known = own.model if own and own.model else canonical_model(model) if model else None
    return Key(provider, project, known, tier == "batch", tier == "provisioned", region)


def paying(declared: tuple[str | None, ...], *, caller_pays: bool) -> tuple[str | None, ...]:
    """As declared_owner reads them: who pays first, its partner last, None between nobody.

    Declared are team, feature, product, environment, customer, phase, and team and feature of the
    entry: of the agent that the call came in by.
    """
    team, feature, _, environment, customer, phase, entry_team, entry_feature = declared
    is_own = entry_team in (None, team) and entry_feature in (None, feature)
    if is_own:
        return (*declared[:6], None, None)
    if not caller_pays:
        return declared
    # The product is what the serving feature belongs to; the entry's follows from its place.
    return entry_team, entry_feature, None, environment, customer, phase, team, feature


class Digest:
    """A fingerprint of lines of text, in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, line: str) -> None:
        self._hash.update(line.encode() + b"\n")

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def digest_of(lines: Iterable[object]) -> str:
    """The fingerprint of the lines' texts."""
    digest = Digest()
    for line in lines:
        digest.add(str(line))
    return digest.hexdigest()
