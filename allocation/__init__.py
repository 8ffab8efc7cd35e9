"""The ledger: charges, usage, rules, drivers, split, runs, periods. Imports neither `reports` nor
`portal`.
"""
