"""An error of Redis: its code is the first word of its text, and its reason is in words of our own."""

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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "Redis is out of memory"),
        ("NOREPLICAS Not enough good replicas to write.", "Redis has too few replicas to accept writes"),
        ("MISCONF Errors writing to the AOF file: No space left", "Redis can't save its data, and accepts no writes"),
        ("ERR ACL failure in script: secret", "Redis does not allow it to the user of the node"),
        ("ERR something of key tannoy:{1}:head", "Redis refuses it"),
    ],
)
def test_the_reason_of_a_refusal_is_told_without_the_words_of_redis(text: str, reason: str) -> None:
    assert RedisError(text).reason == reason


@pytest.mark.parametrize(
    ("text", "is_about_data"),
    [
        ("WRONGTYPE Operation against a key holding the wrong kind of value", True),
        ("ERR user_script:12: attempt to compare nil with number script: a9, on @user_script:12.", True),
        ("ERR hash value is not an integer script: a9, on @user_script:3.", True),
        (
            "ERR The user executing the script can't access at least one of the keys script: a9, on @user_script:3.",
            False,
        ),
        ("ERR unknown command", False),
        ("OOM command not allowed when used memory > 'maxmemory'. script: a9, on @user_script:3.", False),
    ],
)
def test_an_error_is_about_data_where_a_script_or_command_expects_something_else(
    text: str, is_about_data: bool
) -> None:
    assert RedisError(text).is_about_data == is_about_data
