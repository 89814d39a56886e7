"""Fixtures for the whole test suite; those for models and servers live in tests/support."""

pytest_plugins = ["support.models", "support.servers"]
