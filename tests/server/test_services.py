import threading

import anyio

from atrous.server import app


def test_a_model_that_loads_keeps_no_other_waiting(start, store, package, monkeypatch) -> None:
    """Many wait for one load, and the other model answers meanwhile."""
    workspace = store.workspaces.default()
    store.models.publish("slow", package, workspace_id=workspace.id)
    slow_folder = store.models.list()[-1].folder
    release, load, loads = threading.Event(), app.load_from, []

    def load_slowly(packages, folder):
        loads.append(folder)
        assert folder != slow_folder or release.wait(120)
        return load(packages, folder)

    monkeypatch.setattr(app, "load_from", load_slowly)
    services = start().app.state.services
    found = []

    async def scenario() -> None:
        async def ask() -> None:
            found.append(await services.load_model("slow/1", None))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask)
            while slow_folder not in loads:
                await anyio.sleep(0.001)
            assert await services.load_model("colours/1", None) is not None
            assert not found
            release.set()

    anyio.run(scenario)
    assert len(set(map(id, found))) == 1
    assert loads.count(slow_folder) == 1


def test_who_leaves_while_a_model_loads_does_not_stop_the_load(start, monkeypatch) -> None:
    release, load, loads = threading.Event(), app.load_from, []

    def load_slowly(*arguments):
        loads.append(arguments)
        assert release.wait(120)
        return load(*arguments)

    monkeypatch.setattr(app, "load_from", load_slowly)
    services = start().app.state.services

    async def scenario() -> None:
        with anyio.move_on_after(0.05) as leaves:
            await services.load_model("colours/1", None)
        assert leaves.cancelled_caught
        release.set()
        await services.load_model("colours/1", None)

    anyio.run(scenario)
    assert len(loads) == 1
