# The public names of clemcore.registry, written only here (see clemcore/names.py).
from clemcore.registry.registry import ModelRegistry as ModelRegistry
from clemcore.registry.resolution import Resolution as Resolution
from clemcore.registry.resolution import resolve as resolve
from clemcore.registry.spec import ModelSpec as ModelSpec
