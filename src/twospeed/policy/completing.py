"""Which backends can complete what was typed: the suffix must reach the model, and marks must be those of its family."""

from collections.abc import Sequence

from twospeed.errors import Fault, Kind
from twospeed.types import Backend, Completion


def completing(backends: Sequence[Backend], completion: Completion) -> list[Backend]:
    """Return the backends that can serve a completion, in the same order.

    A prompt that is marked for some families goes to a model of these, or else to one whose family nobody named; never
    to one of another family, which would read the marks as text.

    Raises: Fault BAD_REQUEST when none is left.
    """
    left = [backend for backend in backends if _takes_suffix(backend, completion)]
    if not left:
        problem = "fills in the middle" if completion.whole else "fills in the middle of several prompts or of tokens"
        raise Fault(Kind.BAD_REQUEST, f"no model behind this name {problem}; send no suffix", param="suffix")
    if not completion.families:
        return left
    own = [backend for backend in left if backend.fim in completion.families]
    own = own or [backend for backend in left if not backend.fim]
    if not own:
        families = " or ".join(sorted(completion.families))
        message = f"the prompt is marked for {families}, and no model behind this name is of that family"
        raise Fault(Kind.BAD_REQUEST, message, param="prompt")
    return own


def family_notes(completion: Completion) -> list[str]:
    """Say in a record which families a prompt was kept within.

    >>> family_notes(Completion(families=frozenset({"qwen", "granite"})))
    ['fim:granite|qwen']
    """
    return [f"fim:{'|'.join(sorted(completion.families))}"] if completion.families else []


def _takes_suffix(backend: Backend, completion: Completion) -> bool:
    if not completion.infill or backend.suffix == "native":
        return True
    return backend.suffix == "template" and bool(backend.fim) and completion.whole
