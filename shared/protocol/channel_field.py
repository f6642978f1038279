"""How a frame names its channel."""

from ..channels import Channel, ChannelKind

Object = dict[str, object]


def channel_field(channel: Channel) -> Object:
    """The field `room` or `agent_id`."""
    return {"room" if channel.kind is ChannelKind.ROOM else "agent_id": channel.name}
