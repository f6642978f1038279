"""Servers that are no Python packages: where they are installed, if they are. `make bench-rivals` installs them."""

import shutil
from pathlib import Path

from ..errors import NotInstalled

FOLDER = Path(__file__).parent.parent.parent / ".cache" / "bench"
"""Of what `make bench-rivals` builds."""
NCHAN_MODULES = (
    Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),
    Path("/usr/local/lib/nginx/modules/ngx_nchan_module.so"),
)


def find_centrifugo() -> str:
    """Its path. Raises NotInstalled."""
    built = FOLDER / "centrifugo"
    found = str(built) if built.exists() else shutil.which("centrifugo")
    if found is None:
        raise NotInstalled("Centrifugo is not installed: `make bench-rivals` builds it, which needs Go")
    return found


def find_nchan() -> tuple[str, str]:
    """The paths of nginx and of its module. Raises NotInstalled."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    module = next((str(path) for path in NCHAN_MODULES if path.exists()), None)
    if nginx is None or module is None:
        raise NotInstalled("nchan is not installed: Debian's packages are nginx and libnginx-mod-nchan")
    return nginx, module


FINDERS = {"bench.rivals.centrifugo": find_centrifugo, "bench.rivals.nchan": find_nchan}
"""By the module that starts a server: what raises NotInstalled where that is missing."""
