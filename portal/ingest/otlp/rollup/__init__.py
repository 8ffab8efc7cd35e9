"""The hourly rollup of spans: merged from deltas, rebuilt, and what retention leaves of it."""
