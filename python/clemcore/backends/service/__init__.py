"""What all backends that call a service share; private, no backend itself.

``service`` and ``dialect`` are what a backend brings: which service, and its wire format. ``endpoint`` (where
to, with which key), ``wishes``, ``arguments``, ``ledger`` and ``images`` (what to ask) come before a call;
``call`` makes it, with ``engine``, ``retries`` and ``gate``; ``exchange`` holds what left and came back,
``verdict`` and ``failures`` say what it means. ``served_model`` puts them together. It and what makes calls
import the HTTP library, so a backend imports them only when it makes a model.
"""
