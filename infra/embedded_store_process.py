"""The child process of embedded_store.py: `python -m infra.embedded_store_process DIRECTORY PORT`."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

from nx_27017.nx_27017 import main

_PR_SET_PDEATHSIG = 1  # prctl(2)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent or parent == 1:  # it died before we asked
            sys.exit(1)


if __name__ == "__main__":
    _directory, _port = sys.argv[1:]
    _die_with_parent()
    # Blocked rather than ignored: the server's event loop installs handlers of its own.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    # At its own level the server logs every command, with what people wrote in it.
    logging.disable(logging.INFO)
    # The file of a killed predecessor would be taken for a running one; the caller's lock on the home says it is not.
    Path(_directory, "nx-27017.pid").unlink(missing_ok=True)
    files = ["--log-file", f"{_directory}/nx-27017.log", "--pid-file", f"{_directory}/nx-27017.pid"]
    sys.argv = ["nx-27017", "--data-dir", _directory, "--host", "127.0.0.1", "--port", _port, *files]
    main()
