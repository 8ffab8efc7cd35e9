"""Driver data that is no trace: uploaded series, GPU usage, provider usage, owners of identities,
exchange rates.
"""
