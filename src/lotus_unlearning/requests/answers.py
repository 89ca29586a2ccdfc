"""What became of a request, in words: what was done, and what the audit of it says.

That weights were changed is known; that a model forgot is what measures may or may not show. So the
words name the deed, and beside it the verdict.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lotus_unlearning.requests.entries import Request, Run

_NO_AUDIT = "no audit was made"
_ALIKE = "the original is not found out either: no trace that this verdict can see"
_TO_FORGET = {
    "pending": "to be forgotten",
    "refused": "not forgotten for this request",
    "withdrawn": "not forgotten for this request",
}
_VERDICTS = {
    "already forgotten": "unlearned for an earlier request",
    "never trained on": "never trained on",
    "not found": "not found among the training images",
    "left": "similar, left as decided",
}


def answer(request: Request, run: Run | None = None) -> str:
    """What became of a request, in a few sentences.

    Args:
        request: The request.
        run: The run that served it; ``None``: none did, or it is not at hand.
    """
    done = "unlearned" if run is None else deed(run.record)
    counts = Counter(in_words(found.verdict, request.state, done) for found in request.images)
    parts = [f"{n:,} {verdict}" for verdict, n in counts.items()]
    found = f" Its images: {', '.join(parts)}." if parts else ""
    first = {
        "pending": "The request is pending: no model without these images is served yet.",
        "served": f"The request was served by run {request.run}.",
        "refused": "The request was refused.",
        "withdrawn": "The request was withdrawn.",
    }[request.state]
    why = f" {_sentence(request.why)}" if request.why else ""
    shown = "" if run is None else f" {_sentence(finding(run.record['audit']))}"
    return f"{first}{why}{found}{shown}"


def in_words(verdict: str, state: str, done: str = "unlearned") -> str:
    """What became of an image of a request in ``state``.

    Args:
        verdict: As the ledger has it.
        state: The state of the request.
        done: What :func:`deed` says of the run that served it.
    """
    if verdict != "to forget":
        return _VERDICTS[verdict]
    return done if state == "served" else _TO_FORGET[state]


def deed(run: Mapping[str, Any]) -> str:
    """What was done with the images, from the record of a run.

    >>> deed({"method": {"name": "SCRUB"}, "retrained": False})
    'unlearned by SCRUB'
    """
    return "left out of a new training" if run["retrained"] else f"unlearned by {_name(run)}"


def finding(audit: Mapping[str, Any] | None) -> str:
    """What the audit of a run says, over all images and over the new ones alone.

    >>> finding(None)
    'no audit was made'
    """
    if audit is None:
        return _NO_AUDIT
    facts = audit["facts"]
    found = f"the audit says: {_outcome(facts) or audit['why']}"
    new = _outcome(facts.get("new_images") or {})
    return f"{found}; of the new images alone: {new}" if new else found


def headline(request: int, state: str, done: str, audit: Mapping[str, Any] | None) -> str:
    """The title of a record: of a request that was served with the deed and the verdict."""
    title = f"Deletion request {request}: {state}"
    return f"{title}; {done}; {finding(audit)}" if state == "served" else title


def _outcome(facts: Mapping[str, Any]) -> str:
    """The verdict, and whether it means little as the model before gets the same one."""
    outcome = str(facts.get("outcome") or "")
    before = str((facts.get("self_test") or {}).get("original") or "")
    if outcome == "distinguishable":
        return "distinguishable from retraining"
    if outcome.startswith("indistinguishable") and before.startswith("indistinguishable"):
        return f"{outcome}; {_ALIKE}"
    return outcome


def _name(run: Mapping[str, Any]) -> str:
    return str(run["method"]["name"])


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
