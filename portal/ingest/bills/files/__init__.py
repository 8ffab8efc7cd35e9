"""Delivered files as batches of rows of texts: CSV, CSV.gz and Parquet, whatever their columns
mean.
"""
