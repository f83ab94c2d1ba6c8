"""What runs the rooms: the command line, the one-process composition, services for development and tests."""
