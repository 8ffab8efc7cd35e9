"""The read side: queries, charts, exports, analysis. Imports `allocation` only."""
