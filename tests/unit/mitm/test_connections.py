"""Connections are counted by client address."""

from __future__ import annotations

import logging

import pytest

from osp_gateway.mitm.connections import ConnectionCounter, network_of


def test_an_address_has_so_many_connections_and_no_more() -> None:
    counter = ConnectionCounter()
    assert [counter.enter(name, "192.0.2.1", 2) for name in "abc"] == [True, True, False]
    assert counter.enter("d", "192.0.2.2", 2)
    counter.leave("c")  # was not let in
    assert not counter.enter("e", "192.0.2.1", 2)
    counter.leave("a")
    counter.leave("a")
    assert [counter.enter(name, "192.0.2.1", 2) for name in "fg"] == [True, False]


def test_without_a_limit_any_number_is_let_in() -> None:
    counter = ConnectionCounter()
    assert all(counter.enter(str(n), "192.0.2.1", 0) for n in range(5000))


def test_what_is_closed_is_reported_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    counter = ConnectionCounter(lambda: now)
    counter.enter("a", "192.0.2.1", 1)
    with caplog.at_level(logging.WARNING):
        for n in range(10):
            counter.enter(str(n), "192.0.2.1", 1)
        now = 60.0
        counter.enter("z", "192.0.2.1", 1)
    assert [record.getMessage().rpartition("(")[2] for record in caplog.records] == [
        "1 since the last such line)",
        "10 since the last such line)",
    ]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no: address", "no: address"),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network
