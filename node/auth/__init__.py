"""Who a client is, and who may use the HTTP API."""
