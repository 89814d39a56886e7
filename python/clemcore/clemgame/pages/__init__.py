"""The page of results: everything that a run produced, to be looked at in a browser."""
