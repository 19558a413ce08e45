from atrous.store.migrations.versions import r0001_first_tables, r0002_platform_tables


def test_follows_the_first_revision() -> None:
    assert r0002_platform_tables.down_revision == r0001_first_tables.revision
