"""Batches of FOCUS rows become rows of `charge`: validated, given dimensions, copied, summed."""
