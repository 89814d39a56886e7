# The public names of clemcore.prompts, written only here (see clemcore/names.py).
from clemcore.prompts.templates import ChatTemplate as ChatTemplate
