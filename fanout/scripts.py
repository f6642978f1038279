"""The scripts of `lua/` as constants, each with its KEYS, its ARGV and what it returns."""

from .redis.script import load_script

PUBLISH = load_script("publish", rest="server_common history_common backlog_common publish_epoch_common publish_one")
"""KEYS: of the channel's history, and the idempotency key's if there is one. ARGV: size, TTLs, wait, channel, envelope,
seconds to remember the key, whether to tell, how many entries may wait for the HTTP hooks.

Returns `EPOCH OFFSET`.
"""

PUBLISH_MANY = load_script(
    "publish_many", rest="server_common history_common backlog_common publish_epoch_common publish_many_rest"
)
"""KEYS: of the history of each channel; of idempotency keys. ARGV: size, TTLs, wait, how many channels, each of them;
of each message, the number of its channel, envelope, how.

Returns of each `EPOCH OFFSET`.
"""

HISTORY_READ = load_script("history_read", head="server_common history_common")
"""KEYS: of the channel's history. ARGV: lowest, highest, count, first or last, TTL (0: store nothing), wait, bytes.

Returns [`EPOCH OFFSET`, [[id, [field, envelope]], …]].
"""

HEAD_RELEASE = load_script("head_release", allow_oom=True)
"""KEYS: head of each. ARGV: seconds; of each channel. Returns of each 1 (it is kept only that long) or 0."""

PUBLISH_ONCE = load_script("publish_once")
"""KEYS: of the idempotency key. ARGV: channel, envelope, seconds. Returns 1 (published) or 0 (was published before)."""

HEARTBEAT = load_script("heartbeat", head="batch_common server_common", allow_oom=True)
"""KEYS: of each partition, heartbeats, server. ARGV: incarnation, milliseconds; of each, born and beats seen.

Returns of each [before, alive, life, born, beats, losses].
"""

SERVER_ENSURE = load_script("server_ensure", head="server_common", allow_oom=True)
"""KEYS: server. ARGV: milliseconds, born and beats seen, archived channels, their backlog, whether to insist.

Returns [life, milliseconds until leases, born, beats], and archived channels if they were given.
"""

SERVER_DOUBT = load_script("server_doubt", head="server_common", allow_oom=True)
"""KEYS: server. ARGV: life. Returns 1 (it has ended) or 0 (another one had begun)."""

SERVER_ADOPT = load_script("server_adopt", head="server_common", allow_oom=True)
"""KEYS: server. ARGV: replication ids of the server before, and of this one. Returns 1 (its life goes on) or 0."""

NODE_TELL = load_script("node_tell", allow_oom=True)
"""KEYS: node-info. ARGV: incarnation, JSON."""

NODES_LIST = load_script("nodes_list", allow_oom=True)
"""KEYS: heartbeats, node-info. Returns the JSON of each living node."""

UNREADABLE_REMOVE = load_script("unreadable_remove", allow_oom=True)
"""KEYS: any of one partition. ARGV: the kind of each. Returns how many values it has removed from each."""

REMEMBER_GONE = load_script("remember_gone")
"""KEYS: gone, gone-owners. ARGV: entry, how many are kept, seconds, owner, owners at most.

Returns the owners that are too many.
"""

RATES_SPEND = load_script("rates_spend")
"""KEYS: of any owners of one partition. ARGV: interval and longest debt in microseconds, how many to take from each.

Returns of each the microseconds until its bucket is full again.
"""

REVOCATION_ADD = load_script("revocation_add", head="revocation_common", allow_oom=True)
"""KEYS: revocations. ARGV: ID, known record, until, kind, value, records at most.

Returns [record, stamp before, stamp after], or an empty list: there are too many. It may use memory that Redis is short
of, bounded by their number: what is revoked has to be refused even then.
"""

REVOCATION_LIFT = load_script("revocation_lift", head="revocation_common", allow_oom=True)
"""KEYS: revocations. ARGV: ID, known record, seconds. Returns [record, stamp before, stamp after], or an empty list."""

REVOCATIONS_READ = load_script("revocations_read", head="revocation_common", allow_oom=True)
"""KEYS: revocations. ARGV: stamp, fields at most. Returns [stamp] or [stamp, [field, value, …]]."""

REVOCATIONS_RESTATE = load_script("revocations_restate", head="revocation_common", allow_oom=True)
"""KEYS: revocations. ARGV: fields at most, ID and record of each. Returns [stamp before, stamp after]."""

REVOCATIONS_FORGET = load_script("revocations_forget", head="revocation_common", allow_oom=True)
"""KEYS: revocations. ARGV: IDs. Returns [stamp before, stamp after]."""

COORDINATION_PROBE = load_script("coordination_probe")
"""KEYS: of the probe. Returns 1: the scripts of leases and presence may call what they do."""

LEASE_ACQUIRE = load_script("lease_acquire", head="batch_common lease_common lease_limit_common", order="leases")
"""KEYS: of each owner. ARGV: lease in ms; of each, lease, info, max, policy, owner, has waited.

Returns of each a list that begins with held, full, wait, displaced, recovering or fenced.
"""

LEASE_RELEASE = load_script("lease_release", head="batch_common lease_common", allow_oom=True, order="leases")
"""KEYS: of each owner. ARGV: lease in ms; of each, lease, generation.

Returns of each the lease that was granted in its place, or an empty string.
"""

LEASE_REPAIR = load_script("lease_repair", head="batch_common lease_common lease_limit_common", allow_oom=True)
"""KEYS: of the owner. ARGV: lease in ms, incarnation, owner, max, policy, adding, newest; of each lease, its name,
generation, info.

Returns [missing, granted, surplus, policy, count].
"""

LEASE_DEAD = load_script("lease_dead", head="batch_common lease_common", allow_oom=True)
"""KEYS: of the owner and the dead process. ARGV: lease in ms, incarnation, owner. Returns how many were freed."""

LEASE_LIMIT = load_script("lease_limit", head="batch_common lease_common lease_limit_common")
"""KEYS: of the owner. ARGV: lease in ms, max, policy. Returns [count, leases that have to be closed]."""

LEASE_LIST = load_script("lease_list", head="batch_common lease_common lease_limit_common")
"""KEYS: of the owner. ARGV: lease in ms, max, policy. Returns [max, policy, infos]."""

PRESENCE_JOIN = load_script(
    "presence_join", head="batch_common presence_common backlog_common presence_told_common", order="presence"
)
"""KEYS: of each room, the process and the room's history. ARGV: inline_max, events_max, seconds of a new head, told; of
each room, seal key, incarnation, number, user, username, is restated, with head.

Returns of each [version, users, [user, entry, …] or None, `EPOCH OFFSET` or None], `fenced`, or `head`.
"""

_LEAVES = "batch_common presence_common backlog_common presence_told_common presence_leaves_common"
"""In front of the scripts by which users leave."""

PRESENCE_LEAVE = load_script("presence_leave", head=_LEAVES, allow_oom=True, order="presence")
"""KEYS: of each room and the process. ARGV: inline_max, events_max, grace in ms, told; of each room, seal key, number.

Returns of each 1 (left) or 0.
"""

PRESENCE_DEAD = load_script("presence_dead", head=_LEAVES, allow_oom=True)
"""KEYS: of the room and the process. ARGV: inline_max, events_max, room, seal key, incarnation, grace, dead before.

Returns how many of its sessions are left.
"""

PRESENCE_SWEEP = load_script("presence_sweep", head=_LEAVES, allow_oom=True)
"""KEYS: of each room. ARGV: inline_max, events_max, told; of each room, seal key.

Returns of each how many leaves it has shown, or -1 (call it again).
"""

PRESENCE_CHECK = load_script("presence_check", head=_LEAVES, allow_oom=True)
"""KEYS: of the room and the process, sessions of each process. ARGV: inline_max, events_max, room, seal key, grace,
lease in ms, version seen, version due.

Returns [1 (the room agrees with its sessions) or 0 (check it again soon), version].
"""

PRESENCE_LIST = load_script("presence_list", head="batch_common presence_common")
"""KEYS: of the room. ARGV: limit, 0, room, seal key. Returns [version, users, sessions, [user, entry, …]]."""

PRESENCE_DUE = load_script("presence_due", head="batch_common", allow_oom=True)
"""KEYS: of each partition, heartbeats, due. Returns of each [[room, …], [incarnation of a dead process, …]]."""

PRESENCE_FORGET = load_script("presence_forget")
"""KEYS: heartbeats, rooms and owners of the process. ARGV: incarnation. Returns 1 (forgotten) or 0."""

ARCHIVE_TAKE = load_script("archive_take")
"""KEYS: archive. ARGV: writer, messages, bytes, milliseconds. Returns [[id, [field, value, …]], …]."""

ARCHIVE_WRITTEN = load_script("archive_written", allow_oom=True)
"""KEYS: archive. ARGV: ids. Returns how many of them were there."""

BACKLOG_WAITING = load_script("backlog_waiting", allow_oom=True)
"""KEYS: archive or hooks, and what it has lost. Returns [waiting, milliseconds that the oldest has waited, lost]."""

ARCHIVE_FORGET = load_script("archive_forget", allow_oom=True)
"""KEYS: archive. ARGV: milliseconds. Returns how many writers were forgotten."""

ARCHIVE_FIND = load_script("archive_find")
"""KEYS: archive. ARGV: channel, lowest and highest offset, entries. Returns 1 (it may wait still) or 0."""

STREAM_OPEN = load_script("stream_open", head="server_common stream_common")
"""KEYS: of the stream. ARGV: channel, id, header, streams at most, timeout in ms, wait. Returns 1, 2, 0 or -1."""

STREAM_WRITE = load_script("stream_write", head="stream_common")
"""KEYS: of the stream. ARGV: channel, id, seal, piece, start, bytes at most.

Returns [1, to, stop, listeners] or [why, …].
"""

STREAM_END = load_script(
    "stream_end", rest="server_common history_common backlog_common publish_epoch_common publish_one"
)
"""KEYS: of the channel's history, and of the stream. ARGV: those of PUBLISH, length, status.

Returns `EPOCH OFFSET`, an empty string, or [why, …].
"""

STREAM_READ = load_script("stream_read", head="stream_common", allow_oom=True)
"""KEYS: of the stream. ARGV: 1 (with its text) or 0.

Returns [header, to, status, stop, listeners, text, end, doubt] or [].
"""

STREAM_STOP = load_script("stream_stop")
"""KEYS: state. Returns 1 (asked), 0 (it has ended) or -1 (there is none)."""

STREAMS_LIST = load_script("streams_list", allow_oom=True)
"""KEYS: open of each channel. Returns of each [id, …]."""

STREAMS_DUE = load_script("streams_due", allow_oom=True)
"""KEYS: due. ARGV: streams at most, ms. Returns [kind:name/ID, …]."""

STREAMS_LISTEN = load_script("streams_listen")
"""KEYS: listeners of each channel. ARGV: incarnation, ms, sessions of each. Returns of each how many listen."""

HOOKS_READ = load_script("hooks_read", allow_oom=True)
"""KEYS: hooks. ARGV: entries, bytes. Returns [[id, [field, value, …]], …]."""

HOOKS_SESSIONS = load_script("hooks_sessions", head="backlog_common")
"""KEYS: hooks, hooks-lost, hooks-open, hooks-processes. ARGV: most, process; what, number, JSON of each.

Returns how many entries were added.
"""

HOOKS_DEAD = load_script("hooks_dead", head="backlog_common")
"""KEYS: hooks, hooks-lost, hooks-open, hooks-processes, heartbeats. ARGV: most, process, whether it is told.

Returns how many of its sessions are left, or -1 (it is alive).
"""

HOOKS_LEAD = load_script("hooks_lead", allow_oom=True)
"""KEYS: hooks-leader. ARGV: process, milliseconds. Returns 1 (it leads) or 0."""

HOOKS_BURY = load_script("hooks_bury", head="backlog_common")
"""KEYS: hooks-dead, hooks-dead-lost. ARGV: most; JSON and reason of each. Returns how many were added."""

HOOKS_RESEND = load_script("hooks_resend", head="backlog_common")
"""KEYS: hooks, hooks-lost, hooks-dead. ARGV: most, ids. Returns how many there were."""
