"""Real servers behind the upstream engine."""
