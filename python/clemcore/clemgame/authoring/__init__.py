"""Help for the authors of games: a new game from a template, and fresh instances."""
