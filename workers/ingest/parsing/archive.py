"""What an Office file's archive holds, looked at before anything is unpacked."""

from __future__ import annotations

import io
import zipfile

from shared.document_errors import DocumentBroken, DocumentEncrypted, DocumentHasMacros, DocumentUnpacksTooFar
from workers.ingest.parsing.parsed import MOST_FILES, MOST_UNPACKED_BYTES

_ENCRYPTED = 0x1  # of a file's flags


def require_harmless(data: bytes) -> None:
    """The sizes that an archive tells are those that Python unpacks at most, so a lie is found as damage.

    Raises DocumentEncrypted, DocumentHasMacros, DocumentUnpacksTooFar, DocumentBroken.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise DocumentBroken from error
    if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_UNPACKED_BYTES:
        raise DocumentUnpacksTooFar(limit=MOST_UNPACKED_BYTES >> 20)
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise DocumentEncrypted
        if entry.filename.lower().endswith("vbaproject.bin"):
            raise DocumentHasMacros
        if entry.filename.startswith(("/", "\\")) or ".." in entry.filename.replace("\\", "/").split("/"):
            raise DocumentBroken
