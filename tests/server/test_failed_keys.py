import pytest

from atrous.server import failed_keys
from atrous.server.failed_keys import FailedKeys


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


def test_so_many_in_a_minute(now) -> None:
    failures = FailedKeys(3, lambda: now[0])
    assert [failures.add("192.0.2.1") for _ in range(4)] == [False, False, False, True]
    assert not failures.add("192.0.2.2")
    now[0] += 61
    assert not failures.add("192.0.2.1")


def test_who_goes_on_trying_goes_on_waiting(now) -> None:
    failures = FailedKeys(2, lambda: now[0])
    results = []
    for _ in range(6):
        results.append(failures.add("192.0.2.1"))
        now[0] += 20
    assert results == [False, False, True, True, True, True]


def test_an_ipv6_customer_has_one_network(now) -> None:
    failures = FailedKeys(1, lambda: now[0])
    assert not failures.add("2001:db8::1")
    assert failures.add("2001:db8::ffff")
    assert not failures.add("2001:db8:0:1::1")


def test_memory_is_bounded(now, monkeypatch) -> None:
    monkeypatch.setattr(failed_keys, "MAX_ADDRESSES", 5)
    failures = FailedKeys(1, lambda: now[0])
    for number in range(20):
        failures.add(f"192.0.2.{number}")
    assert len(failures._failures) == 5


def test_no_limit(now) -> None:
    failures = FailedKeys(0, lambda: now[0])
    assert not any(failures.add("x") for _ in range(100))


def test_wrong_keys_are_refused_and_right_ones_never(start, key) -> None:
    client = start(max_wrong_keys_per_minute=3)
    path = "/model/registry"
    statuses = [client.get(path, params={"api_key": "atr_guess"}).status_code for _ in range(5)]
    assert statuses == [403, 403, 403, 429, 429]
    answer = client.get(path, params={"api_key": "atr_guess"})
    assert answer.headers["Retry-After"] == "60"
    assert client.get(path, params={"api_key": key}).status_code == 200
    assert client.get(path).status_code == 401  # no key is no guess
    assert client.get("/healthz").status_code == 200
