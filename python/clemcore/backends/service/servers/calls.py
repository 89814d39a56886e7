"""The call layer of a model with several servers: each attempt goes to the server that the fleet chooses.

It compares the servers before the first call, and says in the exchange which server was asked and why.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from clemcore.backends.service.costs import Costs
from clemcore.backends.service.endpoint import Endpoint
from clemcore.backends.service.http.adaptive import Sent
from clemcore.backends.service.http.call import CallLayer, Lane
from clemcore.backends.service.http.engine import Engine
from clemcore.backends.service.http.exchange import Exchange
from clemcore.backends.service.http.failures import ErrorBuilder
from clemcore.backends.service.http.gate import Outcome
from clemcore.backends.service.http.verdict import Verdict
from clemcore.backends.service.limits import Limits
from clemcore.backends.service.servers.addresses import Addresses, AddressFile
from clemcore.backends.service.servers.fleet import Fleet, Server, keys_of
from clemcore.backends.service.servers.sameness import Told, difference, read_models
from clemcore.calls.scope import Membership
from clemcore.errors import ClemcoreError, SpecError
from clemcore.registry.spec import ModelSpec

logger = logging.getLogger(__name__)

# Ends of attempts after which another server is asked, and those that say that a server cannot be reached.
_ELSEWHERE = frozenset({"connection", "timeout", "server", "overloaded", "bad_reply"})
_DOWN = frozenset({"connection", "timeout"})
# Seconds for the list of a server's models.
_LIST_TIMEOUT = 10.0


class FleetCalls(CallLayer):
    """Makes the calls of a model with several servers."""

    def __init__(
        self,
        errors: ErrorBuilder,
        limits: Limits,
        headers: Mapping[str, str],
        costs: Costs,
        *,
        spec: ModelSpec,
        addresses: Addresses,
        endpoint_at: Callable[[str], Endpoint],
    ) -> None:
        """Open nothing yet.

        Args:
            errors: as for one server; its endpoint is that of the first.
            limits: as for one server; each server has its own.
            headers: as for one server.
            costs: as for one server.
            spec: the entry.
            addresses: where the servers are.
            endpoint_at: decides which key goes to an address.

        Raises:
            SpecError: the key was written for another host than one of the addresses.
        """
        super().__init__(errors, limits, headers, costs, spec=spec)
        self._model_id = errors.model_id
        self._name = errors.model
        self._addresses = addresses
        self._endpoint_at = endpoint_at
        self._headers = headers
        self.place = addresses.name
        self._fleet: Fleet[Lane] = Fleet(self._open)
        self._told: dict[str, Told] = {}
        self._checking: asyncio.Future[None] | None = None
        # The servers that were refused, with the reason.
        self._refused: tuple[tuple[str, ...], str] | None = None
        if isinstance(addresses, AddressFile):
            addresses.check = self._fault_at
        self._fleet.take(addresses.current())

    @property
    def useful_calls(self) -> int | None:
        """How many calls at once the servers take together."""
        return sum(server.lane.gate.limit.value for server in self._fleet.servers)

    def _open(self, address: str) -> Lane:
        return self._lane_of(self._endpoint_at(address), self._headers)

    def _fault_at(self, address: str) -> str | None:
        """Return why no call may go to an address: the key is for another one."""
        try:
            self._endpoint_at(address)
        except ClemcoreError as fault:
            return f"cannot be used: {fault}"
        return None

    # -- one attempt -------------------------------------------------------------------------------------------
    async def _enter(
        self, exchange: Exchange, body: Mapping[str, Any], belongs: Membership, tokens: float
    ) -> tuple[Lane, Sent]:
        """Choose a server, and wait until it may be asked; choose again where it failed others in the meantime."""
        known, following, is_scoped = keys_of(belongs, body)
        while True:
            await self._compared()
            server, before = self._fleet.choose(known, exchange.avoid, is_scoped=is_scoped)
            server.in_flight += 1
            try:
                sent = await server.lane.gate.enter(tokens, is_repeated=exchange.attempts > 0, call=id(exchange))
            except BaseException:
                server.in_flight -= 1
                raise
            again, _ = self._fleet.choose(known, exchange.avoid, is_scoped=True)
            if server in self._fleet.servers and (again is server or server.rests_until <= time.monotonic()):
                break
            server.lane.gate.leave(sent, "neutral")
            server.in_flight -= 1
        self._fleet.settle(following, server)
        exchange.route = self._route(exchange, server, before)
        return server.lane, sent

    def _route(self, exchange: Exchange, server: Server[Lane], before: Server[Lane] | None) -> dict[str, Any]:
        """Return what the record says about the choice."""
        route: dict[str, Any] = {"url": server.address, "of": len(self._fleet.servers)}
        moved = exchange.route.get("moved_from") if exchange.route is not None else None
        if before is not None and before is not server:
            is_gone = before not in self._fleet.servers
            why = "it is no longer among the servers" if is_gone else before.fault or "it had more calls under way"
            route |= {"moved_from": before.address, "because": why}
        elif moved is not None and exchange.route is not None:
            route |= {"moved_from": moved, "because": exchange.route["because"]}
        return route

    def _leave(self, lane: Lane, sent: Sent, outcome: Outcome, exchange: Exchange, verdict: Verdict | None) -> None:
        super()._leave(lane, sent, outcome, exchange, verdict)
        server = self._fleet.server_at(lane.address)
        server.in_flight -= 1
        exchange.goes_elsewhere = False
        if outcome == "answered":
            server.answered()
        elif verdict is not None and verdict.kind in _ELSEWHERE:
            fault = exchange.fault or f"it answered {exchange.status}"
            was_fine = server.fault is None
            server.failed(fault, is_down=verdict.kind in _DOWN)
            if verdict.kind in _DOWN:
                self._told.pop(server.address, None)  # it may come back with another model
            if was_fine:
                logger.warning("model '%s': server %s failed: %s", self._name, server.address, fault)
            exchange.avoid = (*exchange.avoid, server.address)
            others = {each.address for each in self._fleet.servers}.difference(exchange.avoid)
            exchange.goes_elsewhere = verdict.is_retryable and bool(others)
            if not others:
                exchange.avoid = ()  # each has failed once: from now on as for one server

    # -- whether the servers are alike -------------------------------------------------------------------------
    async def _compared(self) -> None:
        """Take the addresses of now, and compare servers that were not compared yet.

        Raises:
            SpecError: the servers of the beginning have different models.
        """
        addresses = self._addresses.current()
        self._fleet.take(addresses)
        while new := [each for each in self._fleet.servers if self._is_new(each)]:
            if self._refused is not None and self._refused[0] == addresses:
                raise SpecError(self._refused[1])
            if self._checking is None or self._checking.done():
                self._checking = asyncio.ensure_future(self._compare(new, addresses))
            await asyncio.shield(self._checking)
            self._fleet.take(addresses)
        if not self._fleet.servers:
            raise SpecError(f"model '{self._name}' has no server left: {'; '.join(self._fleet.barred.values())}")

    def _is_new(self, server: Server[Lane]) -> bool:
        return server.address not in self._told and server.rests_until <= time.monotonic()

    async def _compare(self, servers: list[Server[Lane]], addresses: tuple[str, ...]) -> None:
        is_first = not self._told
        told = await asyncio.gather(*(self._ask(server) for server in servers))
        known = {
            address: each
            for address, each in self._told.items()
            if each.names is not None and address not in self._fleet.barred
        }
        faults = []
        for server, each in zip(servers, told, strict=True):
            if each is None:
                continue
            reference = next(iter(known.items()), None)
            differs = None if reference is None else difference(reference[1], each, self._model_id)
            if reference is not None and differs is not None:
                faults.append((server, f"{reference[0]} and {server.address} have different models: {differs}"))
            elif each.names is not None:
                known[server.address] = each
        if faults and is_first:
            self._refused = (
                addresses,
                f"model '{self._name}': {'; '.join(words for _, words in faults)}. All servers of an entry must "
                "have one model: correct base_url, or start the servers with the same model and settings",
            )
            return
        for server, words in faults:
            self._fleet.barred[server.address] = words
            logger.error("model '%s': server %s is not used: %s", self._name, server.address, words)
        found = {server.address: each for server, each in zip(servers, told, strict=True) if each is not None}
        if found and all(each.names is None for each in (*found.values(), *self._told.values())):
            logger.warning("model '%s': the servers do not list their models, so they are not compared", self._name)
        self._told.update(found)

    async def _ask(self, server: Server[Lane]) -> Told | None:
        """Ask a server for its models; None where it cannot be reached."""
        engine = server.lane.engine
        if not isinstance(engine, Engine):
            return Told()
        status, found = await engine.fetch("GET", f"{server.address}/models", None, _LIST_TIMEOUT)
        if status is None:
            server.failed(found.decode("utf-8", "replace"), is_down=True)
            logger.warning("model '%s': server %s cannot be asked: %s", self._name, server.address, server.fault)
            return None
        return read_models(status, found, self._model_id)


def endpoints_of(addresses: Addresses, endpoint_at: Callable[[str], Endpoint]) -> list[Endpoint]:
    """Return where the calls go, and with which key.

    Raises:
        SpecError: an address may not have the key; all faults are listed.
    """
    found, faults = [], []
    for address in addresses.current():
        try:
            found.append(endpoint_at(address))
        except SpecError as fault:
            faults.append(str(fault))
    if faults:
        raise SpecError("; ".join(dict.fromkeys(faults)))
    return found
