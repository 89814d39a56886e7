"""The ways in which answers are computed, by what an answer may depend on."""
