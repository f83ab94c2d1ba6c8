"""`make traces`: what a collector of traces that is not ours makes of them."""
