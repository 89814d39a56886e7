"""What an answer must look like: choices, a regular expression, a JSON schema or a grammar, for all engines."""
