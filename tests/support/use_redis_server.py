"""`REDIS_SERVER=/path/of/redis-server pytest -p tests.support.use_redis_server …`: that server instead of a Valkey.

For versions that no package brings; docs/redis.md says which were tried.
"""

import os
from pathlib import Path

from tests.support import valkey

_binary = Path(os.environ["REDIS_SERVER"])
valkey.valkey_binary = lambda: _binary
