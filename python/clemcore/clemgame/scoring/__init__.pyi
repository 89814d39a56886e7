from clemcore.clemgame.scoring.candidates import Found as Found
from clemcore.clemgame.scoring.candidates import find as find
from clemcore.clemgame.scoring.processes import Processes as Processes
from clemcore.clemgame.scoring.scheduler import Scored as Scored
from clemcore.clemgame.scoring.scheduler import score as score
