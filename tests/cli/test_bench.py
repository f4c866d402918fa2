"""`twospeed bench` as a command: its options, its report, its exit codes."""

import asyncio
import json
import signal
import sys

import pytest
from tests.serving import serving

from twospeed.cli import FAILED, MISUSED, OK, main, parser
from twospeed.cli.bench import load


async def bench(*words: str) -> "asyncio.subprocess.Process":
    """Start the command."""
    command = (sys.executable, "-m", "twospeed", "bench", *words)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


async def said(process: "asyncio.subprocess.Process") -> tuple[str, str]:
    """Wait for its end and return what it wrote."""
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return out.decode(), err.decode()


async def test_a_good_run_ends_with_0_and_a_report():
    """As JSON when asked."""
    async with serving() as server:
        process = await bench("--url", server.url, "--rate", "50", "--duration", "300ms", "--sizes", "2KB", "--json")
        out, err = await said(process)
        assert process.returncode == OK, err
        report = json.loads(out)
        assert report["ok"] == report["sent"] == len(server.records) > 0
        assert report["url"] == f"{server.url}/v1/chat/completions"


async def test_errors_end_with_1_unless_they_are_put_up_with():
    """Every error counts, and the report names it."""
    async with serving() as server:
        words = ("--url", server.url, "--model", "nope", "--rate", "30", "--duration", "0.2")
        strict, patient = await bench(*words), await bench(*words, "--max-errors", "1000")
        out, _ = await said(strict)
        await said(patient)
        assert (strict.returncode, patient.returncode) == (FAILED, OK)
        assert "404 model_not_found" in out


async def test_ctrl_c_ends_it_with_what_was_seen_so_far():
    """Progress is told each second; the report comes all the same."""
    async with serving() as server:
        process = await bench("--url", server.url, "--rate", "50", "--duration", "1h", "--sizes", "2KB")
        assert process.stderr is not None
        async with asyncio.timeout(20):
            line = (await process.stderr.readline()).decode()
        assert "sent" in line
        process.send_signal(signal.SIGINT)
        out, _ = await said(process)
        assert process.returncode == OK
        assert "time of good answers" in out


def test_options_are_read_as_operators_write_them():
    """Durations and sizes with units, shares in percent; plain numbers where they are clear."""
    words = ["bench", "--url", "http://h:1", "--duration", "2m", "--streams", "20%", "--sizes", "2KB, 4KiB"]
    one = load(parser().parse_args(words))
    assert (one.url, one.duration, one.streams, one.sizes) == ("http://h:1/v1", 120.0, 0.2, (2_000, 4_096))
    other = load(parser().parse_args(["bench", "--duration", "3", "--streams", "1", "--header", "X-A: b"]))
    assert (other.duration, other.streams, other.headers, other.model) == (3.0, 1.0, ((b"x-a", b"b"),), "auto")


def test_a_key_is_a_reference(monkeypatch, tmp_path):
    """It never stands on the command line, where everyone on the machine could read it."""
    monkeypatch.setenv("BENCH_KEY", "sk-1")
    assert load(parser().parse_args(["bench", "--key", "env:BENCH_KEY"])).headers == (
        (b"authorization", b"Bearer sk-1"),
    )
    (tmp_path / "key").write_text("sk-2\n")
    assert load(parser().parse_args(["bench", "--key", f"file:{tmp_path}/key"])).headers[0][1] == b"Bearer sk-2"


@pytest.mark.parametrize(
    "words",
    [
        ["--key", "sk-plain"],
        ["--key", "env:NOT_SET_ANYWHERE"],
        ["--body", "/does/not/exist"],
        ["--url", "ftp://h"],
        ["--path", "/nowhere"],
        ["--header", "no colon"],
    ],
)
def test_what_makes_no_sense_ends_with_2(words, capsys):
    """Before anything is sent, and with a word about it."""
    assert main(["bench", *words]) == MISUSED
    assert capsys.readouterr().err.strip()


@pytest.mark.parametrize("words", [["--rate", "0"], ["--duration", "soon"], ["--streams", "120%"], ["--sizes", "big"]])
def test_numbers_that_make_no_sense_are_refused(words):
    """By the parser, with its usual exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["bench", *words])
    assert ended.value.code == MISUSED


def test_a_body_file_is_sent_with_the_model_it_names(tmp_path):
    """Unless another one is asked for."""
    path = tmp_path / "body.json"
    path.write_text('{"model": "m", "messages": [{"role": "user", "content": "hi"}]}')
    assert load(parser().parse_args(["bench", "--body", str(path)])).model == ""
    assert load(parser().parse_args(["bench", "--body", str(path), "--model", "fast"])).model == "fast"


def test_a_body_that_cannot_be_read_is_said(capsys, tmp_path):
    """With its name and the reason, not with a number."""
    words = ["bench", "--url", "http://127.0.0.1:9", "--body"]
    assert main([*words, "/nope.json"]) == MISUSED
    assert main([*words, str(tmp_path)]) == MISUSED
    missing, folder = capsys.readouterr().err.splitlines()
    assert missing == "/nope.json: cannot be read: no such file or directory"
    assert folder == f"{tmp_path}: cannot be read: is a directory"
