"""Write the lock to standard output: runtime packages first, then those of development only; hashes, no addresses.

usage: lock.py UV
"""

import re
import subprocess
import sys

OPTIONS = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
OPTIONS += ["--no-header", "--no-annotate", "--quiet"]


def compiled(uv: str, *more: str) -> dict[str, str]:
    """Resolve pyproject.toml; returns the lines of each requirement, by its first line without hashes."""
    command = [uv, "pip", "compile", "pyproject.toml", *OPTIONS, *more]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {block.split("\\")[0].strip(): block for block in blocks if block.strip()}


def main() -> None:
    """Resolve twice and print both parts."""
    everything = compiled(sys.argv[1], "--extra", "dev")
    runtime = {line for line in compiled(sys.argv[1]) if line in everything}
    print("# Everything the project needs, pinned with hashes; `make lock` writes it.")
    print("# runtime")
    print("".join(block for line, block in everything.items() if line in runtime), end="")
    print("# development")
    print("".join(block for line, block in everything.items() if line not in runtime), end="")


main()
