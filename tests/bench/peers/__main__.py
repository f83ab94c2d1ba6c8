"""`make bench-peers`: an environment for each peer.

One that cannot be installed is told, with its log, and is no failure of ours: `make bench-engine` writes null for it.
"""

from __future__ import annotations

import sys

from tests.bench.peers.environments import PEERS, PeerMissing, install


def main() -> None:
    for peer in sys.argv[1:] or PEERS:
        print(f"bench-peers: setting up {peer}", flush=True)
        try:
            install(peer)
        except PeerMissing as error:
            print(f"bench-peers: {error}", flush=True)


if __name__ == "__main__":
    main()
