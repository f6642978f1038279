"""No object that holds a secret shows it in its representation, which an error message or a log may contain."""

import pytest
from tannoy.fanout.bus import BusRules
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.presence.calls import PresenceRules
from tannoy.fanout.redis.address import RedisAddress
from tannoy.fanout.redis.dial import Route
from tannoy.fanout.redis.server_url import read_url
from tannoy.node.admission.handshake import Handshake
from tannoy.node.auth.jwks_reader import create_reader
from tannoy.node.auth.keys import parse_jwks
from tannoy.shared.policy import LimitMode

SECRET = "hunter2"
ADDRESS = RedisAddress("h", 6379, "ada", SECRET, 0, None)
HOLDERS = [
    ADDRESS,
    Route(ADDRESS, "10.0.0.1", ("ada", SECRET), None, None),
    read_url(f"redis://ada:{SECRET}@h"),
    BusRules(SECRET.encode(), {}, LimitMode.STRICT, PresenceRules(1, 1, 1.0), HistoryRules(1, 1, 1), 1),
    create_reader(f"https://keys.example/?token={SECRET}", parse_jwks),
    Handshake("/ws", f"token={SECRET}", {}),
    Handshake("/ws", "", {"authorization": f"Bearer {SECRET}"}),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_the_representation_of_what_holds_a_secret_does_not_show_it(holder: object) -> None:
    assert SECRET not in repr(holder)
