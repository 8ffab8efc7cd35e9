"""FOCUS bills, versions 1.0 to 1.4: reading (CSV, CSV.gz, Parquet), validation, and loading into
`charge`.
"""
