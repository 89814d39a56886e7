"""One HTTP call: engine, gate, retries, what left and came back, and what it means."""
