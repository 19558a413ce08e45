import anyio
import pytest

from atrous.server.names_in_work import NamesInWork


def test_a_name_is_held_by_one_at_a_time_in_turn() -> None:
    names = NamesInWork()
    ended: list[int] = []

    async def work(number: int) -> None:
        async with names.hold("me", "cat"):
            assert names.is_held("me", "cat")
            await anyio.sleep(0)  # others would come in between
            ended.append(number)
            await anyio.sleep(0)
            assert ended[-1] == number

    async def run() -> None:
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(work, number)

    anyio.run(run)
    assert ended == [0, 1, 2]
    assert len(names) == 0


def test_other_names_and_other_owners_do_not_wait() -> None:
    names = NamesInWork()

    async def run() -> None:
        async with names.hold("me", "cat"), names.hold("me", "dog"), names.hold("you", "cat"):
            assert len(names) == 3

    anyio.run(run)
    assert not names.is_held("me", "cat")


def test_a_failure_and_a_waiter_that_leaves_free_the_name() -> None:
    names = NamesInWork()

    async def leave() -> None:
        with anyio.CancelScope() as waiting:
            waiting.cancel()  # its client has left
            async with names.hold("me", "cat"):
                raise AssertionError("it is held")

    async def fail() -> None:
        async with names.hold("me", "cat"):
            async with anyio.create_task_group() as group:
                group.start_soon(leave)
            assert names.is_held("me", "cat")
            raise ValueError("no photo")

    with pytest.raises(ValueError, match="no photo"):
        anyio.run(fail)
    assert len(names) == 0
