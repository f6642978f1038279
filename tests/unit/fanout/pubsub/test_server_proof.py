"""ServerProof: a command connection on another server is found by the order in which the link receives nonces."""

import asyncio
from typing import Any

import pytest
from tannoy.fanout.pubsub.server_proof import ServerProof

from tests.support.clock import on_manual_time

HERE, THERE = "publisher", "history"
NOW = 5.0


def send(proof: ServerProof[str], *connections: str) -> dict[str, bytes]:
    return dict(proof.nonces_to_send(connections, NOW))


def answered(error: Exception | None = None) -> "asyncio.Future[Any]":
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    if error is None:
        answer.set_result(1)
    else:
        answer.set_exception(error)
    return answer


@pytest.fixture
def proof() -> ServerProof[str]:
    return ServerProof()


@on_manual_time
async def test_a_connection_whose_nonce_comes_back_is_proven(proof: ServerProof[str]) -> None:
    nonces = send(proof, HERE)
    proof.handle_answer(HERE, nonces[HERE], answered())
    proof.begin()
    proof.handle_nonce(nonces[HERE])
    assert proof.end() == []
    assert proof.proven == {HERE}


@on_manual_time
async def test_a_nonce_that_was_confirmed_and_does_not_come_back_is_on_another_server(proof: ServerProof[str]) -> None:
    nonces = send(proof, HERE, THERE)
    for connection in (HERE, THERE):
        proof.handle_answer(connection, nonces[connection], answered())
    proof.begin()
    proof.handle_nonce(nonces[HERE])
    assert proof.end() == [THERE]
    assert proof.proven == {HERE}


@on_manual_time
async def test_a_proven_connection_that_goes_elsewhere_later_is_proven_no_longer(proof: ServerProof[str]) -> None:
    first = send(proof, HERE)[HERE]
    proof.handle_answer(HERE, first, answered())
    proof.handle_nonce(first)
    second = send(proof, HERE)[HERE]
    proof.handle_answer(HERE, second, answered())
    proof.begin()
    assert proof.end() == [HERE]
    assert proof.proven == set()


@on_manual_time
async def test_a_nonce_that_was_not_confirmed_proves_nothing(proof: ServerProof[str]) -> None:
    send(proof, THERE)
    proof.begin()
    assert proof.end() == []


@on_manual_time
async def test_a_nonce_that_was_confirmed_after_that_of_the_link_was_sent_proves_nothing_yet(
    proof: ServerProof[str],
) -> None:
    nonce = send(proof, THERE)[THERE]
    proof.begin()
    proof.handle_answer(THERE, nonce, answered())
    assert proof.end() == []
    proof.begin()
    assert proof.end() == [THERE]


@on_manual_time
async def test_a_nonce_that_redis_refused_proves_nothing(proof: ServerProof[str]) -> None:
    nonce = send(proof, THERE)[THERE]
    proof.handle_answer(THERE, nonce, answered(ValueError("refused")))
    proof.begin()
    assert proof.end() == []


@on_manual_time
async def test_an_answer_from_before_a_new_connection_of_the_link_counts_for_nothing(proof: ServerProof[str]) -> None:
    nonce = send(proof, THERE)[THERE]
    proof.clear()
    send(proof, THERE)
    proof.handle_answer(THERE, nonce, answered())
    proof.begin()
    assert proof.end() == []


def test_a_connection_has_one_nonce_at_a_time(proof: ServerProof[str]) -> None:
    assert send(proof, HERE).keys() == {HERE}
    assert send(proof, HERE, THERE).keys() == {THERE}


def test_a_connection_that_is_gone_is_forgotten(proof: ServerProof[str]) -> None:
    proof.handle_nonce(send(proof, HERE)[HERE])
    send(proof, THERE)
    assert proof.proven == set()


@on_manual_time
async def test_a_nonce_that_comes_back_proves_its_server_as_of_when_it_was_sent(proof: ServerProof[str]) -> None:
    ((_, nonce),) = proof.nonces_to_send([HERE], sent_at=7.5)
    assert proof.handle_nonce(nonce) == (HERE, 7.5)
    assert proof.handle_nonce(nonce) is None, "it proves nothing twice"
