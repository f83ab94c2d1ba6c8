"""Programs that people point at an OpenAI API, unmodified, each in an environment of its own: `make clients`."""
