"""The image: what goes in, what it serves, and that the wheel alone is enough."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import aiohttp
import jsonschema
import pytest

from twospeed import reference
from twospeed.config import ConfigError, load
from twospeed.locate import Document

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KEYS = {"TWOSPEED_KEY": "caller", "TWOSPEED_ADMIN_KEY": "admin", "REDIS_URL": "redis://redis:6379/0"}
SIMULATED = {**KEYS, "TWOSPEED_SIMULATE": "1"}
FILES = [ROOT / "deploy/container.yaml", ROOT / "deploy/fleet.yaml"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, and unpacked as an installation would."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(source / "dist"))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True, capture_output=True)
    (built,) = (source / "dist").glob("*.whl")
    installed = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(installed)
    return installed


def test_everything_the_program_needs_is_in_the_wheel(wheel):
    """Weights, scripts, catalogues and pages come along; nothing else does."""
    source = {path.relative_to(ROOT / "src") for path in (ROOT / "src/twospeed").rglob("*") if path.is_file()}
    expected = {path for path in source if "__pycache__" not in path.parts}
    assert {path.relative_to(wheel) for path in (wheel / "twospeed").rglob("*") if path.is_file()} == expected


async def test_the_wheel_alone_serves(wheel, tmp_path):
    """Installed anywhere, started anywhere, without the sources: it answers, and stops when told."""
    text = FILES[0].read_text().replace("port: 8080", "port: 0").replace("port: 8081", "port: 0")
    (tmp_path / "c.yaml").write_text(text)
    environment = {**os.environ, **SIMULATED, "PYTHONPATH": str(wheel), "TWOSPEED_STATE_DIR": str(tmp_path / "state")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "twospeed", "serve", "--config", "c.yaml"),
        cwd=tmp_path,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            said = ""
            while not (found := re.search(r"serves http://0\.0\.0\.0:(\d+)/v1", said)):
                line = (await process.stderr.readline()).decode()
                assert line, said
                said += line
            async with aiohttp.ClientSession(f"http://127.0.0.1:{found[1]}") as http:
                body = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
                refused = await http.post("/v1/chat/completions", json=body)
                key = {"authorization": "Bearer caller"}
                answered = await http.post("/v1/chat/completions", json=body, headers=key)
                assert (refused.status, answered.status) == (401, 200)
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_asks_for_its_keys(file):
    """It listens beyond loopback, so it does not start without a caller key and an admin key."""
    with pytest.raises(ConfigError) as refused:
        load(file, {"OPENAI_API_KEY": "k"})
    assert {"TWOSPEED_KEY", "TWOSPEED_ADMIN_KEY"} <= set(re.findall(r"TWOSPEED_\w+", str(refused.value)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_made_up_answers_are_asked_for(file):
    """Simulated models take part when told so, never beside a real provider, and never by themselves."""
    with pytest.raises(ConfigError, match="TWOSPEED_SIMULATE"):
        load(file, KEYS)
    assert {name.partition("-")[0] for name in load(file, SIMULATED).providers} == {"sim"}
    for name in ("OPENAI_API_KEY", "CEREBRAS_API_KEY", "ANTHROPIC_API_KEY"):
        providers = load(file, {**SIMULATED, name: "k"}).providers
        assert list(providers) == [name.partition("_")[0].lower()]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_fits_the_schema(file):
    """An editor underlines nothing in it."""
    validator = jsonschema.Draft7Validator(reference.schema())
    assert list(validator.iter_errors(Document(file.read_bytes(), file.name).value)) == []
    schema = re.match(r"# yaml-language-server: \$schema=(\S+)", file.read_text())[1]
    assert (file.parent / schema).resolve() == ROOT / reference.SCHEMA_FILE


def test_the_fleet_serves_what_the_image_serves():
    """With Redis added and nothing else different."""
    one, fleet = (load(file, SIMULATED).config for file in FILES)
    assert fleet.stores.redis is not None
    assert fleet.model_copy(update={"stores": one.stores}) == one


def test_the_image_is_built_from_what_is_there():
    """Each file that is copied exists and reaches the build; nothing else of the repository does."""
    listed = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    allowed = [line[1:] for line in listed if line.startswith("!")]
    assert listed[0] == "*"
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    ]
    assert set(copied) == set(allowed)
    assert all((ROOT / name).exists() for name in copied)
    assert not any(fnmatch(name, pattern) for name in copied for pattern in listed[1:] if pattern[0] != "!")


def test_the_lock_gives_what_the_build_asks_of_it():
    """The lines that the Dockerfile cuts out of the lock are the runtime and the build backend, with hashes."""
    lock = (ROOT / "requirements.lock").read_text()
    for script in re.findall(r"sed (?:-n )?'([^']+)' requirements.lock", DOCKERFILE):
        quiet = ["-n"] if script.startswith("/^setuptools") else []
        cut = subprocess.run(["sed", *quiet, script], input=lock, capture_output=True, text=True, check=True).stdout
        names = re.findall(r"^([\w-]+)==", cut, re.MULTILINE)
        assert (
            names == ["setuptools"] if quiet else {"aiohttp", "uvloop", "redis"} <= {*names} and "pytest" not in names
        )
        assert cut.count("--hash=") >= len(names)


def test_the_image_does_not_run_as_root():
    """A user given by number, so that Kubernetes can tell."""
    assert int(re.search(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[1]) > 0


def test_the_image_says_where_it_listens():
    """Ports, health check and configuration file are those of the configuration it carries."""
    config = load(FILES[0], SIMULATED).config
    assert re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)[1].split() == [
        str(config.listen.port),
        str(config.admin.port),
    ]
    assert f"'127.0.0.1', {config.listen.port}," in DOCKERFILE
    assert "'/healthz'" in DOCKERFILE
    carried = re.search(r"^COPY deploy/container.yaml (\S+)$", DOCKERFILE, re.MULTILINE)[1]
    assert f'CMD ["serve", "--config", "{carried}"]' in DOCKERFILE
