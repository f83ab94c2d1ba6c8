"""Adapters by the names that requests use. A name may come to mean another adapter while answers of the older one run:
they end with what they began, and the older one leaves with the last of them.
"""

from __future__ import annotations

import itertools
from collections import Counter

from shared.errors import AdapterUnknown
from workers.engine.adapters.served_adapters import PreparedAdapter, ServedAdapters


class AdapterVersions:
    """Belongs to the model's thread."""

    def __init__(self, served: ServedAdapters) -> None:
        self._served = served
        self._current: dict[str, str] = {}  # name -> version, as which it is served
        self._users: Counter[str] = Counter()  # of each version: requests that run
        self._digests: dict[str, str] = {}  # of each version
        self._numbers = itertools.count(1)

    def take(self, prepared: PreparedAdapter) -> None:
        """Serve it under its name from now on."""
        facts = prepared.facts
        version = f"{facts.name}#{next(self._numbers)}"
        self._served.take(version, prepared)
        self._digests[version] = facts.digest
        older = self._current.get(facts.name)
        self._current[facts.name] = version
        self._retire(older)

    def unload(self, name: str) -> None:
        """Raises AdapterUnknown."""
        if name not in self._current:
            raise AdapterUnknown(adapter=name)
        self._retire(self._current.pop(name))

    def hold(self, name: str) -> str:
        """The version for a request that begins. Raises AdapterUnknown."""
        if name not in self._current:
            raise AdapterUnknown(adapter=name)
        version = self._current[name]
        self._users[version] += 1
        return version

    def release(self, version: str) -> None:
        """A request that held it has ended."""
        self._users[version] -= 1
        self._retire(version)

    def digest(self, version: str) -> str:
        return self._digests[version]

    def _retire(self, version: str | None) -> None:
        if version is None or self._users[version] or version in self._current.values():
            return
        self._served.unload(version)
        del self._users[version], self._digests[version]
