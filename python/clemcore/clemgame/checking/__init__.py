"""Checks of a game before it is run: its files, its code, a few episodes with the mock, and its scorer."""
