"""Makes and removes what a room needs on the server: layout, permissions, the room, tokens, and the bot's user.

It does not know the bot's connection, or what is said in the room.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from clemcore.backends.slurk.api import Api
from clemcore.backends.slurk.settings import Settings
from clemcore.keys import Key

_BOT_PERMISSIONS = {"send_message": True, "send_html_message": True, "send_image": True, "send_command": True}
_PERSON_PERMISSIONS = {"send_message": True, "send_command": True}


class Premises:
    """A room on a server, with everything that belongs to it.

    Attributes:
        room: the room's id, or 0 before it is made.
        bot: the id of the bot's user, or 0 before it is made.
        bot_token: the token with which the bot logs in.
        person_token: the token with which a person logs in. It is good for one login.
    """

    def __init__(self, api: Api, settings: Settings) -> None:
        """Make nothing yet."""
        self.room = 0
        self.bot = 0
        self.bot_token = Key()
        self.person_token = Key()
        self._layout = 0
        self._permissions: list[int] = []
        self._api = api
        self._settings = settings
        self._door = asyncio.Lock()

    async def make(self) -> None:
        """Make the room and everything that belongs to it.

        Raises:
            RemoteCallError: the server refused or failed. :meth:`leave` deletes what was made before.
        """
        api, settings = self._api, self._settings
        self._layout = await api.create("layouts", settings.layout)
        for permissions in (_BOT_PERMISSIONS, _PERSON_PERMISSIONS):
            self._permissions.append(await api.create("permissions", permissions))
        self.room = await api.create("rooms", {"layout_id": self._layout})
        of_bot, of_person = self._permissions
        self.bot_token = await self._make_token(of_bot)
        self.person_token = await self._make_token(of_person)
        self.bot = await api.create("users", {"name": settings.bot_name, "token_id": self.bot_token})

    async def _make_token(self, permissions: int) -> Key:
        fields = {"permissions_id": permissions, "room_id": self.room, "registrations_left": 1}
        return Key(api_key=await self._api.create("tokens", fields))

    def login(self) -> str:
        """Return the link with which a person enters; it holds the token."""
        token = quote(str(self.person_token.api_key), safe="")
        return f"{self._settings.endpoint.base_url}/login?name=player&token={token}"

    async def mind_door(self, there: set[int]) -> None:
        """Allow one login while the room is empty, and none while a person is there.

        Args:
            there: the ids of the users in the room. The set may change until it is this call's turn.
        """
        async with self._door:
            await self._api.set_logins(self.person_token, 0 if there else 1)

    async def leave(self, *, was_used: bool) -> None:
        """Close, delete or keep the room, as the entry says.

        Args:
            was_used: whether a person was ever in the room. An unused room is always deleted.

        Raises:
            RemoteCallError: the server refused or failed.
        """
        if self._settings.on_close == "delete" or not was_used:
            await self._delete()
        elif self._settings.on_close == "close":
            await asyncio.gather(self._api.set_logins(self.person_token, 0), self._api.make_read_only(self.room))

    async def _delete(self) -> None:
        """Delete everything, in the order that slurk wants: users, tokens, room, permissions, layout.

        All users of the two tokens are deleted, including those who have logged in and never entered the room.
        """
        tokens = [token for token in (self.bot_token, self.person_token) if token.has_api_key()]
        found = await asyncio.gather(*(self._api.users_of(token) for token in tokens))
        users = sorted(user for of_token in found for user in of_token)
        await asyncio.gather(*(self._api.delete("users", user) for user in users))
        await asyncio.gather(*(self._api.delete("tokens", token) for token in tokens))
        if self.room:
            await self._api.delete("rooms", self.room)
        await asyncio.gather(*(self._api.delete("permissions", number) for number in self._permissions))
        if self._layout:
            await self._api.delete("layouts", self._layout)
