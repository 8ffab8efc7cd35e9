"""What a reader may be looking for, by a part of its name: teams, features, models, products, cost
centres, projects, keys and imports.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from reports.asking import TeamScope, fetch, within_scope

MOST_OF_A_KIND = 6
SHORTEST, LONGEST = 2, 200  # characters that are worth looking for


@dataclass(frozen=True)
class FoundName:
    """`identity` is what an address takes, `name` what people call it; `detail` says more, or is
    empty.
    """

    kind: str
    identity: str
    name: str
    detail: str = ""


def _kind(kind: str, identity: str, name: str, rows: str) -> str:
    """SQL: the best of one kind; names that begin with the text come before those that hold it."""
    return f"""(
    SELECT '{kind}', identity, name FROM (
        SELECT DISTINCT {identity} AS identity, {name} AS name FROM {rows}
    ) AS named
    WHERE strpos(lower(name), %(text)s) > 0 OR strpos(lower(identity), %(text)s) > 0
    ORDER BY lower(identity) <> %(text)s AND lower(name) <> %(text)s,
        strpos(lower(name), %(text)s) <> 1, name, identity LIMIT {MOST_OF_A_KIND}
    )"""  # noqa: S608  names of columns


def _of_targets(column: str) -> str:
    return f"allocation_target AS t WHERE {within_scope('t.team')} AND t.{column} IS NOT NULL"


OF_TEAMS = "\nUNION ALL\n".join(
    [
        _kind("team", "slug", "name", f"allocation_team WHERE {within_scope('slug')}"),
        _kind(
            "feature",
            "t.feature",
            "coalesce(f.name, t.feature)",
            "allocation_target AS t LEFT JOIN allocation_feature AS f ON f.slug = t.feature"
            f" WHERE {within_scope('t.team')} AND t.feature IS NOT NULL",
        ),
        _kind("model", "t.model", "t.model", _of_targets("model")),
        _kind("product", "t.product", "t.product", _of_targets("product")),
    ]
)
COST_CENTERS = _kind("cost centre", "code", "name", "allocation_costcenter")
# One row per project or key with the teams that call in it: they have no page of their own.
CALLED_IN = """
SELECT %(kind)s, identity, coalesce(max(name), identity),
    coalesce(string_agg(DISTINCT team, ', ' ORDER BY team), '')
FROM (
    SELECT {column} AS identity, NULL AS name, coalesce(team, 'no team') AS team
    FROM allocation_usagedimension WHERE {column} IS NOT NULL
    {billed}
) AS named
WHERE strpos(lower(identity), %(text)s) > 0 OR strpos(lower(name), %(text)s) > 0
GROUP BY identity
ORDER BY lower(identity) <> %(text)s, strpos(lower(identity), %(text)s) <> 1, identity
LIMIT {limit}
"""
BILLED = """
    UNION ALL
    SELECT sub_account_id, sub_account_name, NULL
    FROM allocation_chargedimension WHERE sub_account_id IS NOT NULL
"""
PROJECTS = CALLED_IN.format(column="project", billed=BILLED, limit=MOST_OF_A_KIND)
KEYS = CALLED_IN.format(column="caller", billed="", limit=MOST_OF_A_KIND)
IMPORTS = """
SELECT 'import', i.id::text, i.file_name, coalesce(source.name, '')
FROM allocation_import AS i LEFT JOIN allocation_source AS source ON source.id = i.source_id
WHERE strpos(lower(i.file_name), %(text)s) > 0 OR i.id::text = ltrim(%(text)s, '#')
ORDER BY i.id DESC LIMIT 6
"""
TRACE = "SELECT EXISTS (SELECT FROM span WHERE trace_id = %(trace)s)"


def find_names(*, text: str, scope: TeamScope) -> list[FoundName]:
    """At most `MOST_OF_A_KIND` of each kind, without regard to case; what belongs to no team only
    for who reads the whole organisation.
    """
    wanted = {"text": text.strip().lower()[:LONGEST], "teams": scope.bound}
    found = fetch(FoundName, OF_TEAMS, wanted)
    if scope.is_everything:
        found += fetch(FoundName, COST_CENTERS, wanted)
        found += fetch(FoundName, PROJECTS, {**wanted, "kind": "project"})
        found += fetch(FoundName, KEYS, {**wanted, "kind": "key"})
    return found


def find_imports(*, text: str) -> list[FoundName]:
    """By file name or number, newest first."""
    return fetch(FoundName, IMPORTS, {"text": text.strip().lower()[:LONGEST]})


def trace_exists(*, trace: UUID) -> bool:
    """Whether any span of the trace is kept."""
    return fetch(bool, TRACE, {"trace": trace})[0]
