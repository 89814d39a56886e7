"""What the folder of a game says: its JSON files, the hashes of its files, and the import of its code.

It knows neither game masters nor models, and it plays nothing.
"""
