"""Games as environments for training: of PettingZoo, of Gymnasium, in batches, and on a server.

Importing this package loads none of them. It does not know how models are trained.
"""
