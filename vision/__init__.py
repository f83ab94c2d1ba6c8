"""Images to embeddings the language model understands. Nothing is here yet; the room is named in ARCHITECTURE.md."""
