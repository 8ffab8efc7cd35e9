"""List prices in the database: resolve models once, price the usage rollup in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, LiteralString

from django.db import connection
from django.db.backends.utils import CursorWrapper

from allocation.catalogue.price_list import PACKAGE, PriceList, find_listed, packaged
from allocation.catalogue.vocabulary import SELLERS, canonical_model, canonical_names, sold_by
from allocation.models import Price, PriceVersion

Key = tuple[str, str]  # provider, model

# Who makes models and sells them; the package's ids, in the order in which a name is looked for.
MAKERS: Final = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "cohere",
    "deepseek",
    "x-ai",
    "moonshotai",
    "perplexity",
    "voyageai",
    "minimax",
    "zai",
)
# Servers that run models on the organisation's own machines: no token of theirs is billed.
SELF_HOSTED: Final = (
    "ollama",
    "vllm",
    "llama.cpp",
    "lm_studio",
    "lmstudio",
    "sglang",
    "tgi",
    "localai",
)

UNMATCHED: Final[LiteralString] = """
SELECT DISTINCT coalesce(d.provider, ''), told.model
FROM allocation_usagedimension AS d
CROSS JOIN LATERAL (VALUES (d.model_answered), (d.model_requested)) AS told(model)
LEFT JOIN allocation_pricematch AS m
    ON m.version_id = %s AND m.provider = coalesce(d.provider, '') AND m.model_text = told.model
WHERE told.model IS NOT NULL AND m.id IS NULL
"""

# One row per priced row of a rollup. A call is priced as the model that answered, else as the
# one asked for; at the start of its hour; a tier without a price of its own at the general one. A
# class that was used and has no price makes the row unpriced. Multiplied by 0.000001, since a
# division would round.
PRICE: Final[LiteralString] = """
UPDATE {rollup} AS u
SET price_version_id = %(version)s,
    list_cost = CASE WHEN priced.price_model IS NOT NULL AND priced.is_unpriced IS NOT TRUE
        THEN coalesce(priced.amount, 0) END
FROM (
    SELECT todo.*, cost.amount, cost.is_unpriced
    FROM (
        SELECT u.*, d.context_band, d.tier, u.hour AT TIME ZONE 'UTC' AS at,
            coalesce(answered.price_provider, requested.price_provider) AS price_provider,
            coalesce(answered.price_model, requested.price_model) AS price_model
        FROM {rollup} AS u
        JOIN allocation_usagedimension AS d ON d.id = u.dimension_id
        LEFT JOIN allocation_pricematch AS answered
            ON answered.version_id = %(version)s AND answered.provider = coalesce(d.provider, '')
            AND answered.model_text = d.model_answered AND answered.price_model IS NOT NULL
        LEFT JOIN allocation_pricematch AS requested
            ON requested.version_id = %(version)s AND requested.provider = coalesce(d.provider, '')
            AND requested.model_text = d.model_requested AND requested.price_model IS NOT NULL
        WHERE {rows}
        FOR UPDATE OF u
    ) AS todo
    -- One pass, row by row: a join of two sets that the planner can't estimate would cost their
    -- product.
    CROSS JOIN LATERAL (
        SELECT sum(used.quantity * price.per_million) * 0.000001 AS amount,
            bool_or(price.per_million IS NULL AND used.token_class <> 'calls') AS is_unpriced
        FROM (VALUES
            ('input_uncached', input_uncached), ('cache_read', cache_read),
                ('cache_write_5m', cache_write_5m),
            ('cache_write_1h', cache_write_1h), ('output_text', output_text),
                ('reasoning', reasoning),
            ('input_audio', input_audio), ('input_image', input_image),
                ('output_audio', output_audio),
            ('output_image', output_image), ('calls', calls)) AS used(token_class, quantity)
        LEFT JOIN LATERAL (
            SELECT per_million
            FROM allocation_price AS p
            WHERE p.version_id = %(version)s AND p.provider = todo.price_provider
                AND p.model = todo.price_model
                AND p.token_class = used.token_class AND (p.tier IS NULL OR p.tier = todo.tier)
                AND p.context_from <= todo.context_band
                AND (p.valid_from IS NULL OR p.valid_from <= todo.at::date)
                AND (p.time_of_day_from IS NULL
                    OR CASE WHEN p.time_of_day_to <= p.time_of_day_from
                        THEN todo.at::time >= p.time_of_day_from OR todo.at::time < p.time_of_day_to
                        ELSE todo.at::time >= p.time_of_day_from
                            AND todo.at::time < p.time_of_day_to END)
            ORDER BY (p.tier IS NOT NULL) DESC, p.valid_from DESC NULLS LAST, p.context_from DESC
            LIMIT 1) AS price ON true
        WHERE used.quantity <> 0 AND todo.price_model IS NOT NULL
    ) AS cost
) AS priced
WHERE ({key}) = ({priced_key})
"""
CHANGED: Final[LiteralString] = "u.price_version_id IS NULL"
HOURS: Final[LiteralString] = (
    "u.hour >= %(first)s AND u.hour < %(last)s AND u.price_version_id IS DISTINCT FROM %(version)s"
)
# Rollups that have a list cost, with their keys.
ROLLUPS: Final[dict[LiteralString, tuple[LiteralString, ...]]] = {
    "usage_hourly": ("hour", "dimension_id"),
    "who_daily": ("hour", "dimension_id", "who_id"),
}


def priced(rollup: LiteralString, rows: LiteralString) -> LiteralString:
    """The statement that prices these rows of the rollup."""
    statement = PRICE.replace("{rollup}", rollup).replace("{rows}", rows)
    own, others = (", ".join(f"{of}.{name}" for name in ROLLUPS[rollup]) for of in ("u", "priced"))
    return statement.replace("{key}", own).replace("{priced_key}", others)


def find_price(
    prices: PriceList, provider: str | None, model: str | None
) -> tuple[str, str] | None:
    """The (provider, model) whose lines price this model at this provider; None: unpriced.

    The name as told, else the canonical one, in the seller's list; else in its maker's.
    """
    if not model:
        return None
    sellers = [provider] if provider in SELF_HOSTED else [provider, *MAKERS]
    return find_listed(prices, sellers, model)


class PriceNames:
    """Which model of a price list a call is priced as."""

    def __init__(self, package: PriceList, composed: Iterable[Key]) -> None:
        self.package = package
        self.composed = frozenset(composed)
        self.names = canonical_names(self.composed)

    def find(self, provider: str | None, model: str | None) -> Key | None:
        """The (provider, model) whose lines price this model at this provider; None: unpriced.

        A seller's own prices, of whatever source, come before those of the model's maker.
        """
        base = find_price(self.package, provider, model)
        if not model or not self.composed:
            return base
        sellers: list[str | None]
        if provider is not None and provider in SELLERS:
            sellers, own = [*sold_by(provider)], find_listed(self.package, [provider], model)
        else:
            sellers, own = [provider, *(sold_by(base[0]) if base else [])], base
        if found := self._composed(sellers, model, own):
            return found
        if base is not None or provider in SELF_HOSTED:
            return base
        return self._composed([name for maker in MAKERS for name in sold_by(maker)], model, None)

    def _composed(self, sellers: Sequence[str | None], model: str, base: Key | None) -> Key | None:
        """A model that is written out by itself: by its name; by its canonical name where the
        package has the same model for both.
        """
        for seller in sellers:
            if seller and (seller, model.lower()) in self.composed:
                return seller, model.lower()
        for seller in sellers:
            key = self.names.get((seller or "", canonical_model(model)))
            if key and (base is None or find_listed(self.package, key[:1], key[1]) == base):
                return key
        return None


@lru_cache(maxsize=4)
def price_names(version: int) -> PriceNames:
    """Which of the version's models a call is priced as."""
    beyond = Price.objects.filter(version_id=version).exclude(source="")
    beyond = beyond.exclude(source__startswith=f"{PACKAGE} ")
    return PriceNames(packaged(), beyond.values_list("provider", "model").distinct())


def current_version() -> int | None:
    """The id of the price list in force: the one imported last."""
    return PriceVersion.objects.order_by("-id").values_list("id", flat=True).first()


def match_models(version: int) -> int:
    """Resolve each (provider, model) of the usage that was not resolved for this version yet; how
    many were new.
    """
    with connection.cursor() as cursor:
        cursor.execute(UNMATCHED, [version])
        unknown = cursor.fetchall()
        for provider, model in sorted(unknown):
            found = price_names(version).find(provider or None, model)
            price_provider, price_model = found or (None, None)
            cursor.execute(
                "INSERT INTO allocation_pricematch (version_id, provider, model_text, "
                "price_provider, price_model) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [version, provider, model, price_provider, price_model],
            )
    return len(unknown)


def price_changed() -> int:
    """Price the rollup rows that changed since they were priced last; how many of usage. None are
    while no list is imported.
    """
    version = current_version()
    if version is None:
        return 0
    match_models(version)
    with connection.cursor() as cursor:
        return price(cursor, CHANGED, {"version": version})


def price(cursor: CursorWrapper, rows: LiteralString, values: dict[str, Any]) -> int:
    """Price these rows of every rollup; how many of usage."""
    changed = {}
    for rollup in ROLLUPS:
        cursor.execute(priced(rollup, rows), values)
        changed[rollup] = int(cursor.rowcount)
    return changed["usage_hourly"]


def reprice(version: int, progress: Callable[[int, int], None] | None = None) -> int:
    """Price every row of the rollups by this version, a day at a time; how many rows of usage it
    changed.
    """
    match_models(version)
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(hour), max(hour) FROM usage_hourly")
        first, last = cursor.fetchone() or (None, None)
    if first is None or last is None:
        return 0
    days = days_between(first, last)
    changed = 0
    for number, day in enumerate(days, start=1):
        with connection.cursor() as cursor:
            changed += price(
                cursor, HOURS, {"version": version, "first": day, "last": day + timedelta(days=1)}
            )
        if progress:
            progress(number, len(days))
    return changed


def days_between(first: datetime, last: datetime) -> list[datetime]:
    start = first.replace(hour=0, minute=0, second=0, microsecond=0)
    return [start + timedelta(days=number) for number in range((last - start).days + 1)]
