"""The tables of the archive, in SQLite and in PostgreSQL.

A message is known by its channel, its offset and its epoch: to write it a second time changes nothing.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

SCHEMA_VERSION = 1
"""Of these tables. The table `tannoy_archive` says which one a database has."""

METADATA = MetaData()

MESSAGES = Table(
    "tannoy_messages",
    METADATA,
    Column("channel", String(160), primary_key=True, comment="room:NAME or agent:ID"),
    Column("message_offset", BigInteger, primary_key=True, autoincrement=False, comment="rises within the channel"),
    Column("epoch", String(80), primary_key=True),
    Column("sent_at", BigInteger, nullable=False, comment="milliseconds since 1970"),
    Column("user_id", String(160), comment="of the author; null: a back end that names nobody"),
    Column("size", Integer, nullable=False, comment="bytes of the message"),
    Column("message", Text, nullable=False, comment="the frame as clients receive it, JSON, without its offset"),
)
BY_TIME = Index("tannoy_messages_sent_at", MESSAGES.c.sent_at)
"""For `tannoy archive --prune`."""

SCHEMA = Table("tannoy_archive", METADATA, Column("schema_version", Integer, primary_key=True, autoincrement=False))
