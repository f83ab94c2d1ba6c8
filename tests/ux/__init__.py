"""`make ux`: every page in a real browser, beside the bars that a chat people choose has to pass."""
