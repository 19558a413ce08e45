from atrous.cli.tables import print_table


def test_an_empty_table_is_its_header(capsys) -> None:
    print_table(["A", "LONGER"], [])
    assert capsys.readouterr().out == "A  LONGER\n"
