"""Turns HTTP into generation requests, and generation events into pages and streams."""
