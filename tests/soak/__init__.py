"""`make soak`: a steady load for long, and what it does to the processes."""
