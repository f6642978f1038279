"""The code of an error of Redis is the first word of its text."""

import pytest
from tannoy.fanout.redis.errors import RedisError


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("MOVED 866 10.0.0.7:6380", "MOVED"),
        ("NOAUTH Authentication required.", "NOAUTH"),
        ("READONLYISH is no code of Redis", "READONLYISH"),
        ("ERR unknown command", "ERR"),
        ("NOAUTH", "NOAUTH"),
        ("", ""),
    ],
)
def test_the_code_of_an_error_is_the_first_word_of_its_text(text: str, code: str) -> None:
    assert RedisError(text).code == code
