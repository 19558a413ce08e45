from atrous.store.dataset_tables import metadata

OPEN_TO_NOBODY = {"secrets", "doomed_blobs"}  # the installation's own


def test_every_table_names_its_workspace_or_hangs_on_one_that_does() -> None:
    walled = {"workspaces"}
    rest = set(metadata.tables) - OPEN_TO_NOBODY - walled
    while rest:
        found = {
            name
            for name in rest
            if walled & {key.column.table.name for key in metadata.tables[name].foreign_keys}
        }
        assert found, f"no way leads from these to a workspace: {rest}"
        walled |= found
        rest -= found
