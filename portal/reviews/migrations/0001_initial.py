"""Reviews of team statements, and the trigger that keeps their marks append-only."""

import django.db.models.deletion
from django.db import migrations, models

APPEND_ONLY = """
CREATE FUNCTION refuse_mark_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'review marks are never changed or removed' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER review_mark_append_only BEFORE UPDATE OR DELETE ON reviews_reviewmark
    FOR EACH ROW EXECUTE FUNCTION refuse_mark_change();
"""
UNDO = "DROP TRIGGER review_mark_append_only ON reviews_reviewmark; DROP FUNCTION refuse_mark_change();"


class Migration(migrations.Migration):
    initial = True
    dependencies = [("allocation", "0018_teaching")]

    operations = [
        migrations.CreateModel(
            name="MonthReview",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("month", models.DateField()),
                (
                    "team",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="allocation.team"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("team", "month"), name="one_review_of_team_and_month"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ReviewMark",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True)),
                ("made_by", models.TextField()),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("seen", "Seen"),
                            ("accepted", "Accepted"),
                            ("questioned", "Questioned"),
                        ]
                    ),
                ),
                ("line", models.TextField(blank=True, default="")),
                ("comment", models.TextField(blank=True, default="")),
                ("runs", models.JSONField(default=list)),
                (
                    "review",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="marks",
                        to="reviews.monthreview",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("comment", ""), ("state", "questioned"), _negated=True),
                        name="a_question_says_what_it_asks",
                    )
                ],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, UNDO),
    ]
