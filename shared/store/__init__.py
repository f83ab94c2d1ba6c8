"""The database between the rooms: users, sessions, conversations, generations, workers. Motor stays in here."""

from shared.store.store import Store

__all__ = ["Store"]
