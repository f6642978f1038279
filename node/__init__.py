"""All that holds a client's socket: transports, connections, delivery, the HTTP API and the command line."""

from ..shared.extras import SERVER_PACKAGES, require_extra

require_extra("server", SERVER_PACKAGES, importer=__name__)
