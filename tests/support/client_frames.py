"""RFC 6455 frames of a client, valid and invalid ones. Independent of the code of the product."""

MASK = bytes.fromhex("37fa213d")  # RFC 6455, section 5.7

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def mask(payload: bytes, key: bytes = MASK) -> bytes:
    """RFC 6455, section 5.3: octet i of the payload XOR octet i modulo 4 of the key."""
    return bytes(octet ^ key[index % 4] for index, octet in enumerate(payload))


def header(opcode: int, length: int, *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """The frame header up to the masking key."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    bit = 0x80 if masked else 0
    if length < 126:
        return bytes((first, bit | length))
    if length < 65_536:
        return bytes((first, bit | 126)) + length.to_bytes(2, "big")
    return bytes((first, bit | 127)) + length.to_bytes(8, "big")


def client_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, key: bytes = MASK) -> bytes:
    return header(opcode, len(payload), fin=fin, reserved=reserved) + key + mask(payload, key)
