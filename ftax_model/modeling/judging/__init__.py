"""Judging: what is held out, the intervals that follow from errors, and tables of errors."""
