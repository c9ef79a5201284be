"""Estimates with bounds: how much accuracy was lost at most, how much faster it became at least."""
