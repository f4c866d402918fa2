"""Scope: whether a request is among those a rollout or a flag is about."""

from collections.abc import Mapping

from twospeed.policy.rollout import Scope

REPO_HEADER = b"x-twospeed-repo"
LONGEST_REPO = 128  # characters


def repo(headers: Mapping[bytes, bytes]) -> str:
    """Return the repository a request names, "" for none.

    >>> repo({b"x-twospeed-repo": b" web "})
    'web'
    """
    return headers.get(REPO_HEADER, b"").decode("utf-8", "replace").strip()[:LONGEST_REPO]


def within(scope: Scope, caller: str, repo: str) -> bool:
    """Say whether caller and repository are in scope; the language is asked for only where that matters.

    >>> within(Scope(keys=["ide"]), "ide", ""), within(Scope(repos=["web"]), "ide", "core")
    (True, False)
    """
    return (not scope.keys or caller in scope.keys) and (not scope.repos or repo in scope.repos)


def speaks(scope: Scope, language: str) -> bool:
    """Say whether a language is in scope; an unknown one is only where all are.

    >>> speaks(Scope(languages=["python"]), ""), speaks(Scope(), "")
    (False, True)
    """
    return not scope.languages or language in scope.languages
