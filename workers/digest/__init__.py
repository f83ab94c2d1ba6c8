"""The third kind of job: digesting articles. Needs no torch."""
