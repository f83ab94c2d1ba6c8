"""Breaks the whole service on purpose and proves that nothing was lost: `make chaos`. See __main__.py."""
