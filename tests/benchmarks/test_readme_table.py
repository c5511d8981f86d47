"""README quotes the stored results, and nothing else."""

import pytest

from benchmarks.readme_table import README, STORED, table, with_table


def test_readme_has_the_numbers_of_the_stored_results() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run python -m benchmarks.readme_table"


def test_the_table_names_machine_and_commit_of_each_benchmark() -> None:
    for name in STORED:
        assert any(line.startswith(f"`{name}`: ") and "; commit " in line for line in table().splitlines())


def test_a_readme_without_its_marks_fails() -> None:
    with pytest.raises(ValueError, match="lacks its marks"):
        with_table("# Longwatch")
