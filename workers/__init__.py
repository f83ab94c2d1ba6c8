"""Turns generation requests into batches of tokens, and tokens into events."""
