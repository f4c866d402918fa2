"""The command itself."""

import pytest

from twospeed.cli import main, parser

COMMANDS = ["serve", "simulate", "validate", "explain", "classify", "schema", "version"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys):
    """--help explains and exits 0."""
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["fly"], ["serve", "--port", "99999"], ["serve", "--port", "x"]])
def test_wrong_usage_is_2(arguments: list[str], capsys):
    """Wrong words are exit code 2 and a message."""
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err
