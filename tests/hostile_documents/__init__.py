"""200 files that want to do harm, or are broken: each gets a sentence, and the worker lives."""
