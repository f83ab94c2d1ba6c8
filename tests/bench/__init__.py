"""Measurements, run by `make bench-backbone`. They are no tests: nothing here passes or fails, it writes numbers."""
