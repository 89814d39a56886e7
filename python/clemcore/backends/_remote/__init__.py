"""What all backends that call a service share; private, no backend itself.

``endpoint`` (where to, with which key) and ``arguments``, ``images`` (what to ask) come before a call, ``wire``
and ``client`` make it, ``answer`` and ``failures`` read what came back, ``chat`` is the model that puts them
together. ``wire`` and ``client`` import the SDK, so a backend imports them only when it makes a model.
"""
