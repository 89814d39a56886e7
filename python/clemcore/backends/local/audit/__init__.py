"""Audits: how far a model's answers move with what else is computed, measured once and stored."""
