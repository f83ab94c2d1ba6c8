"""Documents that are asked, measured: `make bench-documents`."""
