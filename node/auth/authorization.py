"""What the claims of a token allow: which channels, and which commands. The one table of both is `_NEEDED`."""

from collections.abc import Mapping

from ...shared.channels import Channel, ChannelKind
from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from ...shared.protocol.commands import Command, GetHistory, GetPresence, Join, Message, Private, StopStream, Typing
from .claims import Claims, Permission

_NEEDED: Mapping[type[Command], Permission] = {
    Message: Permission.PUBLISH,
    Typing: Permission.PUBLISH,
    Private: Permission.PRIVATE,
    GetPresence: Permission.PRESENCE,
    GetHistory: Permission.HISTORY,
    StopStream: Permission.PUBLISH,
}
"""What a command needs of the claim `can`; those that are not listed need nothing."""


def check_channel(claims: Claims, channel: Channel) -> None:
    """Raises Refused, with `forbidden`, for a room or an agent that the claims do not list."""
    patterns, claim = (claims.rooms, "rooms") if channel.kind is ChannelKind.ROOM else (claims.agents, "agents")
    if not patterns.match(channel.name):
        message = f"the token does not allow {channel.kind} {channel.name}: its claim {claim!r} lists those it does"
        raise Refused(message, code=ErrorCode.FORBIDDEN)


def check_command(claims: Claims, command: Command) -> None:
    """Raises Refused, with `forbidden`, for a command that the claims do not allow in any channel."""
    if isinstance(command, Join):
        if command.observe:
            _check_permission(claims, Permission.OBSERVE, "to observe a room")
        if command.recover is not None:
            _check_permission(claims, Permission.HISTORY, "to recover messages")
        return
    needed = _NEEDED.get(type(command))
    if needed is not None:
        _check_permission(claims, needed, command.type)


def _check_permission(claims: Claims, needed: Permission, action: str) -> None:
    if needed not in claims.can:
        message = f"the token does not allow {action}: its claim 'can' has no {needed!r}"
        raise Refused(message, code=ErrorCode.FORBIDDEN)
