"""Adapters by the names that requests use. A name may come to mean another adapter while answers of the older one run:
they end with what they began, and the older one leaves with the last of them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

from shared.errors import AdapterRefused, AdapterUnknown
from workers.engine.adapters.served_adapters import ServedAdapters
from workers.engine.facts import AdapterFacts


class AdapterVersions:
    """Belongs to the model's thread."""

    def __init__(self, served: ServedAdapters) -> None:
        self._served = served
        self._current: dict[str, str] = {}  # name -> version, as which it is served
        self._users: Counter[str] = Counter()  # of each version: requests that run
        self._digests: dict[str, str] = {}  # of each version
        self._numbers = itertools.count(1)

    def load(self, name: str, directory: Path) -> AdapterFacts:
        """Raises AdapterRefused: nothing has changed."""
        version = f"{name}#{next(self._numbers)}"
        try:
            facts = self._served.load(version, directory)
        except AdapterRefused as error:  # people know it by its name
            raise type(error)("", **(error.facts | {"adapter": name})) from error
        self._digests[version] = facts.digest
        older = self._current.get(name)
        self._current[name] = version
        self._retire(older)
        return replace(facts, name=name)

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
