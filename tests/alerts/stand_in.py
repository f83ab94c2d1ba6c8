"""A process that only tells Prometheus what another would tell, for symptoms that cannot be caused here."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Self

TOLD = """\
# TYPE nunmal_gpu_temperature_celsius gauge
nunmal_gpu_temperature_celsius{gpu="0"} 91
# TYPE nunmal_adapter_info gauge
nunmal_adapter_info{model_name="babbler",adapter="tone",digest="one"} 1
nunmal_adapter_info{model_name="babbler",adapter="tone",digest="other"} 1
"""


class StandIn:
    """Answers every GET with `text`, on a port of its own, while inside."""

    def __init__(self) -> None:
        self.text = ""
        stand_in = self

        class Told(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(stand_in.text.encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Told)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
