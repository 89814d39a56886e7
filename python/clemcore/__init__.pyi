# The public names of clemcore, written only here (see clemcore/names.py).
from clemcore import backends as backends
from clemcore._core import __version__ as __version__
from clemcore.backends import budget as budget
from clemcore.backends import cache as cache
from clemcore.backends import get_model_for as get_model_for
from clemcore.backends import record as record
from clemcore.backends import scope as scope

def get_version() -> str: ...
