"""How payloads become chunks: frames of RFC 6455, and messages of ASGI."""

import pytest
from tannoy.node.protocols.framing import ASGI_MESSAGES, FRAMINGS, WEBSOCKET_FRAMES, AsgiMessages, Framing
from tannoy.node.rfc6455 import Opcode, frame


def test_websocket_frames_carry_text_and_binary_payloads() -> None:
    assert WEBSOCKET_FRAMES.text(b"hi") == frame(Opcode.TEXT, b"hi")
    assert WEBSOCKET_FRAMES.binary(b"\x80") == frame(Opcode.BINARY, b"\x80")


def test_asgi_messages_carry_text_as_str_and_binary_as_bytes() -> None:
    text, binary = ASGI_MESSAGES.text("é".encode()), ASGI_MESSAGES.binary(b"\x80")
    assert isinstance(text, AsgiMessages)
    assert isinstance(binary, AsgiMessages)
    assert text.messages == ({"type": "websocket.send", "text": "é"},)
    assert binary.messages == ({"type": "websocket.send", "bytes": b"\x80"},)


def test_joined_asgi_messages_keep_their_order_and_borders() -> None:
    joined = ASGI_MESSAGES.join([ASGI_MESSAGES.text(b"1"), ASGI_MESSAGES.join([]), ASGI_MESSAGES.text(b"23")])
    assert isinstance(joined, AsgiMessages)
    assert [message["text"] for message in joined.messages] == ["1", "23"]
    assert len(joined) == 3


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: framing.name)
def test_nothing_joined_is_empty(framing: Framing) -> None:
    assert len(framing.join([])) == 0
