"""Which language a request is about."""

import pytest

from twospeed.policy.language import language


def _asked(text: str) -> bytes:
    return b'{"messages":[{"role":"user","content":"%b"}]}' % text.replace("\n", "\\n").encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fix src/app.py", "python"),
        ("see `web/App.tsx:12` and web/api.ts", "typescript"),
        ("```go\nfunc main() {}\n```", "go"),
        ("```bash\nls\n```\nthen edit src/main.rs", "rust"),
        ("```bash\nls\n```", "shell"),
        ("def add(a, b):\n    return a", "python"),
        ("package main\nfunc add(a int) int {", "go"),
        ("let mut x = 1; pub fn f() {}", "rust"),
        ("#include <stdio.h>", "c"),
        ("what is a monad?", ""),
        ("see example.com/page.html", ""),
    ],
)
def test_files_and_code_show_the_language(text, expected):
    """Endings of paths and names of fences count first, then what code looks like."""
    assert language({}, _asked(text)) == expected


def test_the_header_has_the_last_word():
    """What the client says wins, under the name that we use."""
    body = _asked("fix src/app.py")
    assert language({b"x-twospeed-language": b" TS "}, body) == "typescript"
    assert language({b"x-twospeed-language": b"COBOL"}, body) == "cobol"
    assert len(language({b"x-twospeed-language": b"x" * 500}, body)) == 32


def test_the_middle_of_a_long_body_is_not_read():
    """A body of megabytes costs no more than one of 32 KB: only its ends count."""
    filler = "z" * 100_000
    assert language({}, _asked(filler + " a.py " + filler)) == ""
    assert language({}, _asked(filler + " a.py")) == "python"
