"""Making and reading marks: what a team says of a month, and where that leaves its review."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import parse_qsl, urlencode

from django.db import transaction

from allocation.models import Team
from portal.reviews.models import MarkState, MonthReview, ReviewMark
from reports.asking import TeamScope
from reports.cost_question.runs import MonthRun

LINE_KEYS = ("feature", "model", "kind", "rule")  # what of Explain's words names a line
LINE_LENGTH, COMMENT_LENGTH = 600, 2000
NOT_SEEN = "not seen"


class MarkError(Exception):
    """The mark says nothing that can be kept; the message says why."""


@dataclass(frozen=True)
class Standing:
    """Where the marks of one team and month leave the review. A question stays open until its line
    or the whole statement is accepted; a month is accepted as a whole.
    """

    marks: Sequence[ReviewMark] = ()  # oldest first
    open_questions: Sequence[ReviewMark] = field(default=())

    @property
    def state(self) -> str:
        if self.open_questions:
            return str(MarkState.QUESTIONED)
        if any(mark.state == MarkState.ACCEPTED and not mark.line for mark in self.marks):
            return str(MarkState.ACCEPTED)
        return str(MarkState.SEEN) if self.marks else NOT_SEEN

    @property
    def newest(self) -> ReviewMark | None:
        return self.marks[-1] if self.marks else None

    def is_outdated(self, runs: Iterable[MonthRun]) -> bool:
        """The month was calculated again since the newest mark, to other figures."""
        return self.newest is not None and self.newest.runs != hashes_of(runs)


def standing_of(marks: Sequence[ReviewMark]) -> Standing:
    """`marks` of one team and month, oldest first."""
    questions: dict[str, ReviewMark] = {}
    for mark in marks:
        if mark.state == MarkState.QUESTIONED:
            questions[mark.line] = mark
        elif mark.state == MarkState.ACCEPTED:
            for line in [mark.line] if mark.line else list(questions):
                questions.pop(line, None)
    return Standing(marks, tuple(questions.values()))


def standings(*, month: date, scope: TeamScope) -> Mapping[str, Standing]:
    """By team, of those in the scope that said anything of the month."""
    found = ReviewMark.objects.filter(review__month=month).order_by("at", "pk")
    if scope.teams is not None:
        found = found.filter(review__team__slug__in=scope.teams)
    by_team: dict[str, list[ReviewMark]] = {}
    for mark in found.select_related("review__team"):
        by_team.setdefault(mark.review.team.slug, []).append(mark)
    return {team: standing_of(marks) for team, marks in by_team.items()}


def add_mark(
    *,
    team: Team,
    month: date,
    state: str,
    line: str,
    comment: str,
    runs: Iterable[MonthRun],
    acting_user: str,
) -> ReviewMark:
    """One more mark. Raises MarkError where it can't be kept; the caller has checked the right."""
    comment = comment.strip()
    if state not in MarkState.values:
        raise MarkError("choose seen, accepted or questioned")
    if state == MarkState.QUESTIONED and not comment:
        raise MarkError("say what you question, so that finance can answer")
    if len(comment) > COMMENT_LENGTH:
        raise MarkError(f"a comment has at most {COMMENT_LENGTH} characters")
    with transaction.atomic():
        review, _ = MonthReview.objects.get_or_create(team=team, month=month)
        return ReviewMark.objects.create(
            review=review,
            made_by=acting_user,
            state=state,
            line=line_reference(line),
            comment=comment,
            runs=hashes_of(runs),
        )


def line_reference(line: str) -> str:
    """The reference in its one spelling; raises MarkError for what names no line."""
    named = line_filters(line)
    if len(line) > LINE_LENGTH or (line and not named):
        raise MarkError("choose the whole statement or one of its lines")
    return urlencode(named)


def line_filters(line: str) -> dict[str, str]:
    """What Explain is asked for the line, in its one order; nothing for the whole statement."""
    asked = dict(parse_qsl(line))
    if asked.keys() - set(LINE_KEYS):
        return {}
    return {key: asked[key] for key in LINE_KEYS if asked.get(key)}


def hashes_of(runs: Iterable[MonthRun]) -> list[str]:
    return sorted(run.sha256 or "" for run in runs)
