"""What schemathesis is not to send, since no JSON Schema can say that it is refused: docs/protocol.md §1 and §2."""

from typing import cast

import schemathesis
from tannoy.shared.errors import BadName, BadRequest
from tannoy.shared.names import USERNAME_MAX_CHARACTERS, parse_username
from tannoy.shared.protocol.decoding import check_value


@schemathesis.hook  # pyright: ignore[reportUnknownMemberType]
def filter_body(context: schemathesis.HookContext, body: object) -> bool:
    """Leave out usernames that can't be printed, integers such as 1.0, and what is too large or nests too deep."""
    checked: object = body
    fields: dict[str, object] = cast("dict[str, object]", body) if isinstance(body, dict) else {}
    username = fields.get("username")
    try:
        check_value(checked)
        if isinstance(username, str) and username:
            parse_username(username[:USERNAME_MAX_CHARACTERS])
    except (BadName, BadRequest):
        return False
    return not any(isinstance(value, float) and value.is_integer() for value in fields.values())
