# The public names of clemcore.calls, written only here (see clemcore/names.py).
from clemcore.calls.call import Call as Call
from clemcore.calls.call import ReceivedBody as ReceivedBody
from clemcore.calls.call import Reply as Reply
from clemcore.calls.request import Request as Request
from clemcore.calls.scope import Scope as Scope
from clemcore.calls.scope import Sink as Sink
