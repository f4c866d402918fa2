"""Texts fall into sentences, code and what came along."""

from twospeed.policy.division import divide


def test_label_before_code_is_no_instruction():
    """A word such as `Selected:` above a block says nothing."""
    division = divide("Selected:\n```\nx = 1\n```\n\nInstruction: Rename the variable to something better.")
    assert division.prose == ["Rename the variable to something better."]
    assert division.brought == ["x = 1"]


def test_a_patch_is_no_prose():
    """A diff without fences is code, what stands around it is not."""
    patch = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n-x = 1\n+x = 2\n"
    division = divide(f"Write a good message for this change:\n\n{patch}")
    assert division.prose == ["Write a good message for this change:"]
    assert division.code[0].startswith("diff --git")


def test_a_fence_inside_a_string_does_not_close_a_block():
    """Only a bare fence at the start of a line ends a block."""
    assert divide("Explain\n```python\nx = '''\n```bibtex\n'''\n```\nplease").prose == ["Explain", "please"]


def test_an_open_block_runs_to_the_end():
    """A fence that is never closed swallows the rest."""
    assert divide("Look\n```\nx = 1\ny = 2").code == ["x = 1\ny = 2"]


def test_a_file_block_is_context():
    """Under a line that is a path, a block is a file and neither prose nor the code in question."""
    division = divide("src/a.py\n```\nx = 1\n```\nRename x.")
    assert (division.prose, division.code, division.brought) == (["Rename x."], [], [])
