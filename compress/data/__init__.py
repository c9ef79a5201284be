"""Calibration and evaluation items, by task."""
