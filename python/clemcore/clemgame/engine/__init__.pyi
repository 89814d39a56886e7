# The public names of clemcore.clemgame.engine, written only here (see clemcore/names.py).
from clemcore.clemgame.engine.engine import play as play
from clemcore.clemgame.engine.limits import Options as Options
from clemcore.clemgame.engine.output import RunLog as RunLog
from clemcore.clemgame.engine.progress import Progress as Progress
from clemcore.clemgame.engine.progress import line_of as line_of
from clemcore.clemgame.engine.summary import Summary as Summary
from clemcore.clemgame.engine.tally import Tally as Tally
