"""Cleans pictures one after another: `python -m web.pictures.cleaning_process`, started by cleaner.py.

A process of its own, with a bound on its memory: a decoder that crashes, hangs or asks for gigabytes costs the person
whose picture it was an answer, and nobody else anything. On stdin and stdout, each answer before the next question:

    question: most pixels, longest side, length (!QIQ), the file
    answer:   length (!Q), JSON: {mime, width, height, lengths} or {code, facts}; then picture and thumbnail
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from typing import BinaryIO

from shared.errors import NunmalError
from web.pictures.clean import clean

QUESTION = struct.Struct("!QIQ")
LENGTH = struct.Struct("!Q")
MOST_MEMORY_BYTES = 2 << 30  # 50 megapixels take a quarter of it


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    while head := questions.read(QUESTION.size):
        most_pixels, longest_side, length = QUESTION.unpack(head)
        _answer(questions.read(length), most_pixels, longest_side, answers)
        answers.flush()


def _answer(data: bytes, most_pixels: int, longest_side: int, answers: BinaryIO) -> None:
    try:
        picture = clean(data, most_pixels=most_pixels, longest_side=longest_side)
    except NunmalError as error:
        _write(answers, {"code": error.code, "facts": error.facts})
        return
    lengths = len(picture.data), len(picture.thumbnail)
    said = {"mime": picture.mime, "width": picture.width, "height": picture.height, "lengths": lengths}
    _write(answers, said)
    answers.write(picture.data)
    answers.write(picture.thumbnail)


def _write(answers: BinaryIO, said: object) -> None:
    text = json.dumps(said).encode()
    answers.write(LENGTH.pack(len(text)) + text)


if __name__ == "__main__":
    main()
