"""The parameters of queries."""

import pytest
from tannoy.node.web.queries import MessagesQuery, RoomsQuery, UsersQuery
from tannoy.shared.errors import BadRequest
from tannoy.shared.protocol.commands import HistoryQuery


def test_missing_parameters_have_their_defaults() -> None:
    assert (RoomsQuery.model_validate({}).limit, UsersQuery.model_validate({}).cursor) == (1000, None)
    assert MessagesQuery.model_validate({}).as_query() == HistoryQuery(100, None, None)


def test_numbers_of_a_query_are_parsed() -> None:
    query = MessagesQuery.model_validate({"limit": "7", "before": "20", "since": "3"})
    assert query.as_query() == HistoryQuery(7, 20, 3)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.0", " 1", "x", "", "٣", "1" * 30])
def test_a_limit_that_is_no_number_in_its_range_is_refused(limit: str) -> None:
    with pytest.raises(BadRequest, match="limit has to be an integer from 1 to 1000"):
        RoomsQuery.model_validate({"limit": limit})
    with pytest.raises(BadRequest, match="limit has to be an integer from 1 to 300"):
        MessagesQuery.model_validate({"limit": limit})


@pytest.mark.parametrize("offset", ["-1", "x", "", "1e3", "9" * 17])
def test_an_offset_that_is_none_is_refused(offset: str) -> None:
    for name in ("before", "since"):
        with pytest.raises(BadRequest, match=f"{name} has to be an offset"):
            MessagesQuery.model_validate({name: offset})


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(BadRequest, match="no field 'page' here: allowed are limit cursor"):
        UsersQuery.model_validate({"page": "2"})
