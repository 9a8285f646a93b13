import pytest

from seqlm.data.numbers import decimal, decimals, whole


@pytest.mark.parametrize("text, value", [("10", 10), ("-1.5", -1.5), (".5", 0.5), ("1e-3", 0.001), ("+2", 2)])
def test_numbers_are_read_as_tables_write_them(text, value):
    assert decimal(text) == value


@pytest.mark.parametrize("text", ["1_0", "١٢", "１", "infinity", "-inf", "nan", "1e999", "0x10", "1,5", "", "one"])
def test_what_only_python_takes_for_a_number_is_none(text):
    for read in (decimal, lambda one: decimals(["1", one])):
        with pytest.raises(ValueError):
            read(text)


def test_a_row_is_read_like_its_cells():
    assert decimals(["1", "-2.5", "3e2"]) == [1.0, -2.5, 300.0]


@pytest.mark.parametrize("text", ["1_0", "٣", "-1", "+1", "1.0", "", " 1", "1" * 19])
def test_positions_are_digits(text):
    assert whole("07") == 7
    with pytest.raises(ValueError):
        whole(text)
