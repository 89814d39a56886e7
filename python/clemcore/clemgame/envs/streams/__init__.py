"""Streams of live episodes: each plays one episode after another, and many play side by side on the engine.

The caller acts for one player of each. It does not know vectors or servers.
"""
