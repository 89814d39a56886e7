"""Runners: play instances of a game from a program, with callbacks. ``clem run`` does not use them.

``sequential`` plays one episode after another, ``batchwise`` plays several side by side, and ``dispatch`` chooses
between the two. ``branching`` continues an episode in several ways. All of them play on the engine of ``clem run``.
"""
