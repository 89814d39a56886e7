"""Helpers that games import. clemcore itself does not use them."""
