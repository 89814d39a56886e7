"""JSON Schemas of the files of a game, for editors and other checkers; ``clem check schema`` prints them."""
