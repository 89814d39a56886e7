"""What ``clem run`` does: settings, line-ups, checks before the first call, the run itself, and its summary.

It uses the engine, the store and the scores of games. None of them knows it.
"""
