"""Frames of an attacker, as bytes. With a masking key of zeros, which leaves the payload as it is."""

from collections.abc import Mapping

import msgpack
import orjson

from tests.support.client_frames import BINARY, TEXT, header

_KEY = bytes(4)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return header(opcode, len(payload), fin=fin) + _KEY + payload


def text(fields: Mapping[str, object]) -> bytes:
    return frame(TEXT, orjson.dumps(fields))


def packed(fields: Mapping[str, object]) -> bytes:
    """For a connection of the subprotocol tannoy.v1.msgpack."""
    return frame(BINARY, msgpack.packb(fields))
