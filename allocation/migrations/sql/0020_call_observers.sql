-- With the day, since a day without statistics looks as selective as a time: its primary key would be read from end to
-- end instead.
DROP INDEX span_started;
CREATE INDEX span_started ON span (started_at, span_day);
