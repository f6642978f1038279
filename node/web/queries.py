"""The parameters of queries of the HTTP API. Validating them raises Refused, as bodies do."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator

from ...shared.errors import BadRequest
from ...shared.protocol.command_parser import parse_history_query
from ...shared.protocol.commands import PAGE_DEFAULT, HistoryQuery
from ...shared.protocol.field_schemas import OFFSET, PAGE_LIMIT
from ...shared.protocol.frames import Object
from .requests import check_fields

COUNT_MAX = 1000
"""Rooms or users that one answer lists at most."""

is_number = re.compile(r"[0-9]{1,18}").fullmatch


def _parse_limit(value: object) -> int:
    text = str(value)
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= (count := int(text)) <= COUNT_MAX:
        return count
    raise BadRequest(f"limit has to be an integer from 1 to {COUNT_MAX}")


class ContractQuery(BaseModel):
    """Parameters of a query: these and no others."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, fields: Object) -> Object:
        check_fields(fields, *cls.model_fields)
        return cls.parse(fields)

    @classmethod
    def parse(cls, fields: Object) -> Object:
        """What pydantic is given in place of the texts of the query. Raises BadRequest."""
        return fields


Limit = Annotated[
    int, BeforeValidator(_parse_limit), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": COUNT_MAX})
]


class RoomsQuery(ContractQuery):
    limit: Limit = COUNT_MAX


class UsersQuery(ContractQuery):
    limit: Limit = COUNT_MAX
    cursor: str | None = None


class MessagesQuery(ContractQuery):
    """The parameters of `history` (`docs/protocol.md §3`)."""

    limit: Annotated[int, WithJsonSchema(PAGE_LIMIT)] = PAGE_DEFAULT
    before: Annotated[int | None, WithJsonSchema(OFFSET)] = None
    since: Annotated[int | None, WithJsonSchema(OFFSET)] = None

    @classmethod
    def parse(cls, fields: Object) -> Object:
        numbers = {name: int(str(text)) if is_number(str(text)) else text for name, text in fields.items()}
        parse_history_query(numbers)
        return numbers

    def as_query(self) -> HistoryQuery:
        return HistoryQuery(self.limit, self.before, self.since)
