import pytest

from tests.support.memory_redis import MemoryRedis


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> MemoryRedis:
    memory = MemoryRedis()
    monkeypatch.setattr("tannoy.fanout.redis.command_writer.connect", memory.connect)
    return memory
