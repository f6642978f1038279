"""Metrics of messages: from the publish over the bus to the sockets."""

from .family import DurationFamily, Family, counter, gauge

FAMILIES: tuple[Family, ...] = (
    counter(
        "tannoy_bus_messages",
        "Messages and events that the bus has delivered to this node.",
        lambda node: node.relay.messages,
    ),
    counter("tannoy_deliveries", "Those, times the sockets of each.", lambda node: node.relay.deliveries),
    gauge(
        "tannoy_delivery_backlog_bytes",
        "Bytes that wait for their slice of the delivery to a large room.",
        lambda node: node.relay.backlog_bytes,
    ),
    gauge(
        "tannoy_outbox_bytes",
        "Bytes that wait for clients that read slowly.",
        lambda node: node.outbox.queued_bytes,
    ),
    gauge("tannoy_slow_sessions", "Sessions whose client reads slowly at present.", lambda node: node.outbox.slow),
    counter(
        "tannoy_outbox_overflows", "Times that the outbox of a session was full.", lambda node: node.outbox.overflowed
    ),
    counter(
        "tannoy_outbox_dropped_bytes",
        "Bytes that were not sent because an outbox was full or its session ended.",
        lambda node: node.outbox.dropped_bytes,
    ),
    counter(
        "tannoy_holes_found",
        "Holes that were found in what the bus had delivered.",
        lambda node: node.bus.tracker.holes,
    ),
    counter(
        "tannoy_hole_messages_filled",
        "Messages that were read from the history to fill holes.",
        lambda node: node.bus.tracker.filled,
    ),
    gauge("tannoy_holes_filling", "Holes that are being filled.", lambda node: node.bus.tracker.filling),
    counter(
        "tannoy_resyncs",
        "Times that a channel was sent resync, because messages may be missing.",
        lambda node: node.bus.tracker.resyncs,
    ),
    counter(
        "tannoy_messages_malformed",
        "Messages that were dropped, because they can't be read or are not sealed by this cluster.",
        lambda node: node.bus.tracker.malformed,
    ),
    gauge("tannoy_streams", "Open streams in the channels of this node.", lambda node: node.streams.streams),
    gauge(
        "tannoy_stream_text_bytes", "Bytes of their text that this node holds.", lambda node: node.streams.text_bytes
    ),
)
DURATIONS = (
    DurationFamily(
        "tannoy_publish_duration_seconds",
        "Seconds from handing a publish to its connection until Redis has confirmed it.",
        (),
        lambda node: (((), node.bus.pipeline.durations),),
    ),
    DurationFamily(
        "tannoy_bus_delay_seconds",
        "Seconds from a publish of this node until the bus has delivered it to this node; measured by probes.",
        (),
        lambda node: (((), node.bus.link.delays),),
    ),
)
