"""The parts of the backend ``huggingface_local``: its entry, loading, prompt, generation and text."""
