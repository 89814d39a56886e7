"""From messages to the prompt text of a local model: chat templates and the proofs of their exactness."""
