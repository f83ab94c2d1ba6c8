"""What an API key may be used for: one scope for each family of routes under /v1."""

from __future__ import annotations

SCOPES = ("chat", "completions", "models", "jobs", "documents", "digests", "adapters")
