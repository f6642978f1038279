"""All that talks to Redis or to other nodes; never sees a socket."""
