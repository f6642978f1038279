"""`pytest -p tests.support.use_redis_7 …`: what the tests start is Debian's Redis 7.0 instead of a Valkey."""

from tests.support import valkey
from tests.support.redis_servers import binary_of

valkey.valkey_binary = lambda: binary_of("redis-7.0")
