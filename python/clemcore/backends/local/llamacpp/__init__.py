"""The engine that computes with llama.cpp, through the package llama-cpp-python: GGUF files."""
