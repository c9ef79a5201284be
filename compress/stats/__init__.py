"""Intervals, non-inferiority and noise. Plain numbers in, plain numbers out."""
