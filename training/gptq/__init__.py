"""GPTQ in four bits, as an extra with an environment of its own (README.md here)."""
