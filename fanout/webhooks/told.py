"""What the settings let the scripts of presence and of publishing tell the HTTP hooks."""

from ...shared.errors import StartError
from ...shared.hook_events import ROOM_EVENTS, USER_EVENTS
from ...shared.settings import Settings
from ..history.publisher import ToldChannels


def read_told(settings: Settings) -> tuple[str, ToldChannels | None]:
    """What the HTTP hooks are told of rooms and users (PresenceRules), and of which messages. Raises StartError."""
    if not settings.hook_url.get_secret_value():
        return "", None
    if settings.hook_messages and not settings.history_size:
        raise StartError("TANNOY_HOOK_MESSAGES needs a history: TANNOY_HISTORY_SIZE=0 keeps none")
    told = frozenset(settings.hook_events)
    kinds = ("r" if told & ROOM_EVENTS else "") + ("u" if told & USER_EVENTS else "")
    messages = ToldChannels(settings.hook_messages, settings.hook_backlog) if settings.hook_messages else None
    return f"{settings.hook_backlog}:{kinds}" if kinds else "", messages
