"""Forms with files, as browsers send them."""

from __future__ import annotations

from collections.abc import Sequence

_BOUNDARY = "----nunmal"
CONTENT_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"

Part = tuple[str, str] | tuple[str, str, bytes]  # a field and its value, or its file's name and bytes


def multipart(parts: Sequence[Part]) -> bytes:
    body = b""
    for name, *value in parts:
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
        if len(value) == 2:
            file_name, data = value
            assert isinstance(data, bytes)
            body += f'{head}; filename="{file_name}"\r\nContent-Type: image/png\r\n\r\n'.encode() + data
        else:
            body += f"{head}\r\n\r\n{value[0]!s}".encode()
        body += b"\r\n"
    return body + f"--{_BOUNDARY}--\r\n".encode()
