"""Answers that arrive in pieces: server-sent events, and what each wire format says in them."""
