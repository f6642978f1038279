"""What a node tells about itself: what `GET /nodes` shows of it, and what is refused from the bus."""

import pytest
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.nodes import NodeInfo

from tests.support.records import NODE


def test_a_node_is_shown_with_the_fields_of_the_protocol_in_order() -> None:
    assert list(NODE.as_object()) == (
        "node incarnation sessions channels load version draining ready started_at".split()
    )


def test_a_node_is_parsed_from_what_it_is_shown_as() -> None:
    assert NodeInfo.parse(NODE.as_object()) == NODE


@pytest.mark.parametrize("missing", NODE.as_object())
def test_a_node_that_lacks_a_field_is_malformed(missing: str) -> None:
    with pytest.raises(MalformedBytes, match="not the description of a node"):
        NodeInfo.parse({name: value for name, value in NODE.as_object().items() if name != missing})
