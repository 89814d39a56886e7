"""Transcripts of episodes, for people: HTML pages and TeX."""
