"""Attacks on the whole service from outside: `make fuzz`."""
