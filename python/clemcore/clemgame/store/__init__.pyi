from clemcore.clemgame.store.contents import EpisodeState as EpisodeState
from clemcore.clemgame.store.contents import StoredCall as StoredCall
from clemcore.clemgame.store.episode_writer import EpisodeWriter as EpisodeWriter
from clemcore.clemgame.store.reader import RunReader as RunReader
from clemcore.clemgame.store.reader import StoredEpisode as StoredEpisode
from clemcore.clemgame.store.writer import RunStore as RunStore
