"""From a file's bytes to its pages, in a process of its own."""
