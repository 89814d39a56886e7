from clemcore.clemgame.layout.classic import FinishedEpisode as FinishedEpisode
from clemcore.clemgame.layout.classic import write_episode as write_episode
from clemcore.clemgame.layout.classic import write_experiment as write_experiment
from clemcore.clemgame.layout.jsonfile import write_json as write_json
from clemcore.clemgame.layout.names import component as component
from clemcore.clemgame.layout.names import episode_folder as episode_folder
from clemcore.clemgame.layout.names import line_up_folder as line_up_folder
