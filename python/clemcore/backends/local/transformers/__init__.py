"""The engine that runs a model in this process with torch and transformers."""
