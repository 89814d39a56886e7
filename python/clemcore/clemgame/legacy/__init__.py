"""The contract of games that were written for 3.0 to 3.3, and names of 2.x."""
