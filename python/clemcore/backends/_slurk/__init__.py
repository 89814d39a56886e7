"""Inner parts of the backend ``slurk``; :mod:`clemcore.backends.slurk` is its public face."""
