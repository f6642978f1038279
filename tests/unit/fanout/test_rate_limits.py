"""What is made of the replies of `rates_spend.lua`; the script itself is tested in tests/scripts."""

from tannoy.fanout.rate_limits import OWNERS_AT_ONCE, RateCalls
from tannoy.fanout.scripts import RATES_SPEND
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.rates import Rate

from tests.support.clock import on_manual_time
from tests.support.scripted_redis import ScriptedPipeline

KEYSPACE = Keyspace("tannoy")


@on_manual_time
async def test_owners_whose_call_is_not_confirmed_are_left_out() -> None:
    redis = ScriptedPipeline()
    redis.leave_unconfirmed(RATES_SPEND)

    assert await RateCalls(redis, KEYSPACE).spend(OwnerKind.USER, Rate(10), {"ada": 1}) == {}


@on_manual_time
async def test_a_call_has_the_owners_of_one_partition_and_microseconds() -> None:
    redis = ScriptedPipeline()
    redis.reply_with(RATES_SPEND, [1_500_000])
    full_in = await RateCalls(redis, KEYSPACE).spend(OwnerKind.USER, Rate(10), {"ada": 3})
    (call,) = redis.calls

    assert full_in == {"ada": 1.5}
    assert call.keys == (KEYSPACE.rate(Owner(OwnerKind.USER, "ada")),)
    assert call.words == [b"100000.000000000", b"320000000", b"3"]


@on_manual_time
async def test_a_call_has_a_bounded_number_of_owners() -> None:
    redis = ScriptedPipeline()
    redis.leave_unconfirmed(RATES_SPEND)
    counts = {f"u{number}": 1 for number in range(64 * OWNERS_AT_ONCE * 2)}
    await RateCalls(redis, KEYSPACE).spend(OwnerKind.USER, Rate(10), counts)

    assert sum(len(call.keys) for call in redis.calls) == len(counts)
    assert max(len(call.keys) for call in redis.calls) <= OWNERS_AT_ONCE
