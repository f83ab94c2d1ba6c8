"""A parser that never says a word: `python -m tests.silent_parser`."""

import signal

signal.pause()
