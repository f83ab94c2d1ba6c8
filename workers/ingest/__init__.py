"""The second kind of job: reading documents. Needs no torch."""
