"""Adapters as safe, immutable, versioned things: what one is, when it is refused, and how a version comes into use."""
