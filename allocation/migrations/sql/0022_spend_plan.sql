CREATE FUNCTION refuse_altered_plan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'versions of plans are never altered: add another one'
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER spend_plan_version_stays BEFORE UPDATE OR DELETE ON allocation_spendplanversion
    FOR EACH ROW EXECUTE FUNCTION refuse_altered_plan();
CREATE TRIGGER spend_plan_amount_stays BEFORE UPDATE OR DELETE ON allocation_spendplanamount
    FOR EACH ROW EXECUTE FUNCTION refuse_altered_plan();

-- The plans in force: one row per month, holder (a team or a cost centre) and account.
CREATE VIEW spend_plan AS
SELECT said.month, team.slug AS team, center.code AS cost_center, said.account, said.amount,
    said.currency
FROM (
    SELECT DISTINCT ON (one.month, one.team_id, one.cost_center_id, one.account) one.*
    FROM allocation_spendplanamount AS one
    JOIN allocation_spendplanversion AS version ON version.id = one.version_id
    ORDER BY one.month, one.team_id, one.cost_center_id, one.account, version.number DESC
) AS said
LEFT JOIN allocation_team AS team ON team.id = said.team_id
LEFT JOIN allocation_costcenter AS center ON center.id = said.cost_center_id
WHERE said.amount IS NOT NULL;
