from atrous.store.migrations.versions import r0001_first_tables


def test_is_the_first_revision() -> None:
    assert r0001_first_tables.down_revision is None
