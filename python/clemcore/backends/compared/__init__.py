"""The same model on two engines: prompt ids, answers, and the scores of each other's answers."""
