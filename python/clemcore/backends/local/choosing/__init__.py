"""How the tokens of an answer are chosen from the scores of a model, for every engine alike."""
