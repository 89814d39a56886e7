"""A server of games for trainers: each client gets one stream of episodes. It does not know models or rules."""
