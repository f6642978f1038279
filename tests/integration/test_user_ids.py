"""User ids of identity providers, mail addresses and integer keys, over every transport."""

from urllib.parse import quote

import pytest

from tests.integration.conftest import Connect
from tests.support.cluster import NodeProcess

USER_IDS = ["auth0|{}", "ada+{}@example.com", "{}=="]


@pytest.mark.parametrize("form", USER_IDS)
async def test_a_user_id_with_provider_characters_is_present_addressed_and_listed(
    nodes: list[NodeProcess], connect: Connect, name: str, form: str
) -> None:
    user_id = form.format(name)
    quoted = quote(user_id, safe="")
    ada = await connect(nodes[0], f"/ws/chat/{name}?user_id={quoted}")
    back_end = nodes[1].http

    present = (await back_end.get(f"/api/v1/rooms/{name}/presence")).json()
    sent = (await back_end.post(f"/api/v1/users/{quoted}/messages", json={"content": "for you"})).json()
    listed = (await back_end.get(f"/api/v1/users/{quoted}")).json()

    assert [user["user_id"] for user in present["users"]] == [user_id]
    assert sent == {"sessions": 1}
    assert (await ada.expect("private"))["content"] == "for you"
    assert [session["user_id"] for session in listed["sessions"]] == [user_id]


async def test_an_integer_user_id_in_json_is_its_decimal_text(
    nodes: list[NodeProcess], connect: Connect, name: str
) -> None:
    listener = await connect(nodes[0], f"/ws/chat/{name}?user_id=7")

    await nodes[1].http.post(f"/api/v1/rooms/{name}/messages", json={"content": 1, "user_id": 42})
    message = await listener.expect("message")
    await listener.send(type="private", to=7, content="to myself", id=1)

    assert message["user_id"] == "42"
    assert (await listener.expect("private"))["from_user_id"] == "7"
