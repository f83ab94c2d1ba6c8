"""`make hostile`: all 200, through an upload and a worker on the embedded store. Writes build/hostile.json.

python -m tests.hostile_documents [--seed 7]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.embedded_store import embedded_store
from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.hostile_documents.files import hostile_files
from tests.hostile_documents.given import Told, given, unheard

OUT = Path("build/hostile.json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile_documents")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    begun = time.monotonic()
    told = asyncio.run(_all(options.seed))
    wrong = unheard(told)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"file": each.file.name, "code": each.code, "sentence": each.sentence} for each in told]
    result = {"seed": options.seed, "seconds": time.monotonic() - begun, "unheard": wrong, "files": rows}
    OUT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    counts = Counter((each.file.family, each.code) for each in told)
    sys.stdout.write("".join(f"{family:16} {code:26} {count}\n" for (family, code), count in sorted(counts.items())))
    sys.stdout.write(f"{len(told)} files, {len(wrong)} without a sentence {wrong}\n")
    return 1 if wrong else 0


async def _all(seed: int) -> list[Told]:
    with TemporaryDirectory() as directory:
        async with embedded_store(Path(directory)) as url, Store(url, "hostile") as store, MemoryBroker() as broker:
            return await given(hostile_files(seed), store, broker)


if __name__ == "__main__":
    sys.exit(main())
