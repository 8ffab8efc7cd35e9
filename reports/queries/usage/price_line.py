"""SQL of the price line that a call is priced by, as allocation.catalogue.prices chooses it."""

from __future__ import annotations


def line_in_force(
    *, version: str, provider: str, model: str, of_class: str, tier: str, band: str, at: str
) -> str:
    """The line's price, tier and source; `at` is a UTC timestamp without zone. The tier's own
    comes before the general, then the latest date, then the highest context band.
    """
    return f"""
    SELECT p.per_million, p.tier, p.source FROM allocation_price p
    WHERE p.version_id = {version} AND p.provider = {provider} AND p.model = {model}
        AND p.token_class = {of_class} AND (p.tier IS NULL OR p.tier = {tier})
        AND p.context_from <= {band} AND (p.valid_from IS NULL OR p.valid_from <= ({at})::date)
        AND (p.time_of_day_from IS NULL OR CASE WHEN p.time_of_day_to <= p.time_of_day_from
            THEN ({at})::time >= p.time_of_day_from OR ({at})::time < p.time_of_day_to
            ELSE ({at})::time >= p.time_of_day_from AND ({at})::time < p.time_of_day_to END)
    ORDER BY p.tier IS NULL, p.valid_from DESC NULLS LAST, p.context_from DESC LIMIT 1
    """  # noqa: S608  names of columns


def price_match(*, version: str, dimension: str) -> str:
    """The priced provider and model of a row of allocation_usagedimension, a row or none: what the
    model that answered is called on the price list before the one asked for.
    """
    return f"""
    SELECT m.version_id, m.price_provider, m.price_model FROM allocation_pricematch m
    WHERE m.version_id = {version} AND m.provider = coalesce({dimension}.provider, '')
        AND m.model_text IN ({dimension}.model_answered, {dimension}.model_requested)
        AND m.price_model IS NOT NULL
    ORDER BY m.model_text = {dimension}.model_answered DESC NULLS LAST LIMIT 1
    """  # noqa: S608  names of columns


def falls_back(tier: str, of_line: str) -> str:
    """Whether a tier that should have a price of its own is priced by the general line."""
    return f"(coalesce({tier}, 'standard') <> 'standard' AND {of_line} IS NULL)"
