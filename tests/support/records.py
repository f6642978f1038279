"""Descriptions of sessions, nodes and disconnects as nodes tell them each other; a test names what it is about."""

from tannoy.shared.nodes import NodeInfo
from tannoy.shared.sessions import Disconnect, SessionInfo

NODE = NodeInfo("n1", "me", 2, 1, 0.25, "1.0", draining=False, ready=True, started_at="2026-11-18T11:06:40.123Z")


def session_info(session_id: str = "s1", user_id: str = "ada", connected_at: str = "T1") -> SessionInfo:
    return SessionInfo(session_id, user_id, user_id.title(), "n1", connected_at, "42")


def disconnect(session_id: str = "s1") -> Disconnect:
    return Disconnect("T1", session_id, 4504, "disconnected by an operator", "operator", None, "n1")
