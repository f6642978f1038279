"""A node inside the application of somebody else: `tannoy.Tannoy`."""

from ..shared.extras import SERVER_PACKAGES, require_extra

require_extra("server", SERVER_PACKAGES, importer="tannoy.Tannoy")
