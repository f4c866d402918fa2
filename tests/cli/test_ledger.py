"""`twospeed ledger verify`."""

import json
import sqlite3

import pytest

from twospeed.cli import main
from twospeed.policy.audit import Entry
from twospeed.stores.ledger.file import Book


@pytest.fixture
def file(tmp_path):
    """A ledger of three lines."""
    book = Book(tmp_path / "ledger.db")
    book.append([(Entry(1.0, "flag", "f", event, reason="r"), b"") for event in ("set", "set", "removed")])
    book.close()
    return book.path


def test_a_whole_ledger_is_whole(file, capsys):
    """With its head, to be noted elsewhere."""
    assert main(["ledger", "verify", str(file)]) == 0
    assert f"{file}: whole, 3 lines, head " in capsys.readouterr().out


def test_the_first_broken_line_is_named(file, capsys):
    """Exit code 1."""
    with sqlite3.connect(file) as connection:
        connection.executescript("DROP TRIGGER line_stays; UPDATE line SET actor = 'nobody' WHERE number = 2;")
    connection.close()
    assert main(["ledger", "verify", str(file), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["whole"], told["broken_at"], told["lines"]) == (False, 2, 3)


@pytest.mark.parametrize("words", [["/nowhere/ledger.db"], ["--config", "/nowhere/c.yaml"]])
def test_what_is_not_there_is_said(words, capsys):
    """Exit code 2, with the name."""
    assert main(["ledger", "verify", *words]) == 2
    assert words[-1] in capsys.readouterr().err


def test_a_file_that_is_no_ledger_is_said(tmp_path, capsys):
    """Exit code 2."""
    (tmp_path / "x").write_text("no database at all " * 100)
    assert main(["ledger", "verify", str(tmp_path / "x")]) == 2
    assert "cannot be read" in capsys.readouterr().err
