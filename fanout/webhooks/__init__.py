"""HTTP hooks: a back end is told of events, and asked who may connect and join (docs/hooks.md)."""
