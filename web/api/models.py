"""The names under which programs ask: the model's own, and `<model>:<adapter>` for each adapter in use.

`nunmal:<adapter>` is understood whatever the model is called, so that a program need not change with it. Answers tell
the exact version, `<model>:<name>@<digest>`, which may be asked for too.
"""

from __future__ import annotations

import time

from shared.errors import AdapterVersionUnknown
from web.api.objects import Model
from web.api.problems import ModelUnknown
from web.chat.choice import AdapterChoice

_HOUSE = "nunmal"
_MOST_NAME = 100


class Models:
    """`model`: the one that is served."""

    def __init__(self, choice: AdapterChoice, model: str) -> None:
        self.model = model
        self._choice = choice
        self._since = int(time.time())

    async def adapter(self, asked: str, key: str) -> str | None:
        """The version that answers, None for the model alone; `key` chooses between versions. Raises ModelUnknown."""
        if asked == self.model:
            return None
        base, _, adapter = asked.partition(":")
        try:
            if adapter and base in (self.model, _HOUSE):
                return await self._choice.version(adapter, key)
        except AdapterVersionUnknown as error:
            raise _unknown(asked) from error
        raise _unknown(asked)

    async def listed(self) -> list[Model]:
        own = self._own()
        return [
            own,
            *(
                own.model_copy(
                    update={
                        "id": f"{self.model}:{adapter.name}",
                        "created": int(adapter.since.timestamp()) if adapter.since else self._since,
                        "root": f"{self.model}:{adapter.version}",
                        "parent": self.model,
                    }
                )
                for adapter in await self._choice.offered()
            ),
        ]

    async def one(self, asked: str) -> Model:
        """Raises ModelUnknown."""
        found = next((model for model in await self.listed() if model.id == asked), None)
        if found is None:
            raise _unknown(asked)
        return found

    def _own(self) -> Model:
        name = self.model
        return Model(id=name, object="model", created=self._since, owned_by="nunmal", root=name, parent=None)


def _unknown(asked: str) -> ModelUnknown:
    return ModelUnknown(param="model", model=asked[:_MOST_NAME])
