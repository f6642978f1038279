"""The one task that a connection has at a time: it opens, or it joins a channel. Commands wait until it is done.

The task tells the connection that it has ended, also after an error; it does not if the connection has cancelled it.
"""

from functools import partial
from typing import Protocol

from ...shared.codes import CloseCode
from ...shared.errors import Refused, internal_error
from ...shared.protocol.frames import NodeFrame
from ...shared.protocol.presence_frames import PresenceSnapshot
from ...shared.publication import NO_HISTORY, StartPosition
from ...shared.sessions import CloseOrder
from ..delivery.roster import Member
from ..protocols.effects import JoinChannel
from .command_loop import CommandLoop
from .context import JoinContext
from .join import Join, join_channel
from .session_limits import order_of_refusal


class TaskOwner(Member, Protocol):
    """A connection, as its task sees it."""

    @property
    def commands(self) -> CommandLoop: ...
    @property
    def may_serve(self) -> bool:
        """Whether the session may be sent anything. If not, the fence closes the connection, and says why."""
        ...

    async def acquire_leases(self) -> None:
        """Acquire the leases that the session needs. Raises Refused."""
        ...

    def end_task(self) -> None:
        """The task is done: commands do not wait for it any more."""
        ...

    def welcome(self, snapshot: PresenceSnapshot | None, start: StartPosition) -> None:
        """Send `welcome`: the connection is open."""
        ...

    def answer(self, node_frame: NodeFrame) -> None:
        """Send the answer to a command."""
        ...

    def close(self, code: CloseCode, *, retry_after: float | None = None, order: CloseOrder | None = None) -> None: ...


async def open_connection(connection: TaskOwner, context: JoinContext) -> None:
    """Acquire the session's leases, join its home, and send `welcome`."""
    session = connection.session
    join: Join | None = None
    try:
        await connection.acquire_leases()
        if session.home is not None and connection.may_serve:
            effect = JoinChannel(session.home, None, session.recover)
            join = await context.turns.run(partial(join_channel, context, connection, effect))
            session.add_joined(join.channel)
    except Refused as refusal:
        _fail_to_open(connection, CloseCode.TRY_AGAIN_LATER, refusal)
        return
    except Exception:
        _fail_to_open(connection, CloseCode.INTERNAL)
        raise  # a fault of ours: the event loop logs it
    connection.end_task()
    if connection.may_serve:
        connection.welcome(None if join is None else join.snapshot, NO_HISTORY if join is None else join.start)
        if join is not None:
            _send_missed(connection, join)
        connection.commands.resume()


def _fail_to_open(connection: TaskOwner, code: CloseCode, refusal: Refused | None = None) -> None:
    connection.end_task()
    if connection.may_serve:
        connection.close(code, order=order_of_refusal(code, refusal))


async def join_and_answer(connection: TaskOwner, context: JoinContext, effect: JoinChannel) -> None:
    """Join a channel, and answer the command."""
    session = connection.session
    try:
        join = await context.turns.run(partial(join_channel, context, connection, effect))
    except Refused as refusal:
        _fail_to_join(connection, effect, refusal)
        return
    except Exception:
        _fail_to_join(connection, effect, internal_error())
        raise  # a fault of ours: the event loop logs it
    connection.end_task()
    session.add_joined(join.channel)
    if connection.may_serve:
        if ok := session.join_ok(join.channel.channel, effect.id, join.snapshot, join.start):
            connection.answer(ok)
        _send_missed(connection, join)
        connection.commands.resume()


def _fail_to_join(connection: TaskOwner, effect: JoinChannel, refusal: Refused) -> None:
    connection.end_task()
    if connection.may_serve:
        connection.commands.refuse(effect.id, refusal)
        connection.commands.resume()


def _send_missed(connection: TaskOwner, join: Join) -> None:
    if join.missed and connection.is_open:
        frames = connection.encoding.publications_for(join.missed, connection.session.session_id)
        connection.outbox.write_answer(frames)
