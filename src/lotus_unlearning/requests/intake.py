"""Taking a request in, and closing one without a run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial

from lotus_unlearning.files.id_lists import some
from lotus_unlearning.requests import entries, ledger
from lotus_unlearning.requests.entries import Found, Near, Request
from lotus_unlearning.requests.find import described, search
from lotus_unlearning.requests.plan import known_images, new_images
from lotus_unlearning.requests.workspace import Workspace
from lotus_unlearning.wording import is_blank, refused

LONGEST_REFERENCE, LONGEST_REASON = 200, 1000


@dataclass(frozen=True)
class Added:
    """A request that was written.

    Attributes:
        request: The request as it is in the ledger.
        warnings: What a person should look at, one sentence each.
    """

    request: Request
    warnings: list[str]


def add(
    workspace: Workspace,
    *,
    ids: Sequence[str] = (),
    files: Sequence[str] = (),
    reference: str = "",
    received: str | None = None,
    due: str | None = None,
    near: bool | None = None,
) -> Added:
    """Write a request into the ledger.

    It is pending if any of its images is to be forgotten; served at once if all that were trained
    on are forgotten already; refused if none was trained on.

    Args:
        workspace: The workspace with the ledger.
        ids: Ids or paths of training images, or names of files of these.
        files: Paths of image files, or of folders of them; the images are found by their content.
        reference: A word for the person to whom the request belongs: a ticket number rather than a
            name.
        received: The date on which it came, ``YYYY-MM-DD``; ``None``: today.
        due: The date by which it is to be served; ``None``: the workspace's number of days after
            ``received``.
        near: Whether to forget similar images, too; ``None``: not decided, which is an error if
            there are any.

    Raises:
        ValueError: If an image is not known, a date is none, the reference is no line of text, or
            similar images want a decision; nothing is written then.
    """
    if reference:
        _require_line(reference, "reference", LONGEST_REFERENCE, "a ticket number is enough")
    settings = workspace.settings
    came = _date(received, "received") or date.today()
    until = _date(due, "due") or _later(came, settings.due_days)
    if until < came:
        raise ValueError(f"due: expected a date from received, {came}, on, got {until}")
    found = search(
        known_images(workspace),
        ids,
        files,
        forgotten=entries.forgotten(workspace.db),
        distance=settings.near_distance,
        new=partial(new_images, settings),
    )
    alike, decision = _decided(found.near, near)
    images = [*found.images, *alike]
    twice = _asked_before(entries.requests(workspace.db, "pending"), images)
    with ledger.transaction(workspace.db):
        number = entries.add_request(
            workspace.db,
            images,
            reference=reference,
            received=str(came),
            due=str(until),
            near=decision,
        )
        _answer_at_once(workspace, number, images)
    return Added(entries.request(workspace.db, number), [*_warnings(came, until), *twice])


def close(workspace: Workspace, number: int, state: str, why: str) -> Request:
    """Withdraw or refuse a pending request.

    Raises:
        ValueError: If there is no such request, it is not pending, or ``why`` is no line of text.
    """
    _require_line(why, "reason", LONGEST_REASON, "say in a sentence why")
    with ledger.transaction(workspace.db):
        found = entries.request(workspace.db, number)
        if found.state != "pending":
            raise ValueError(
                f"request: expected a pending one, got request {number}, which is {found.state}; "
                "what was done is not undone: a new request can be added"
            )
        entries.change_request(workspace.db, number, state, why=why)
    return entries.request(workspace.db, number)


def _require_line(text: str, name: str, longest: int, advice: str) -> None:
    """``text`` is a line that can be read.

    Raises:
        ValueError: If not; names the characters that do not belong there.
    """
    wrong = refused(text)
    if not wrong and not is_blank(text) and len(text) <= longest:
        return
    got = f"{text[:40]!r}" if len(text) <= longest else f"{len(text):,}, {text[:40]!r}..."
    because = f" with {some(wrong)} in it" if wrong else ""
    raise ValueError(
        f"{name}: expected one line of at most {longest} characters, not blank, got "
        f"{got}{because}; {advice}"
    )


def _decided(near: Sequence[Found], decision: bool | None) -> tuple[list[Found], Near]:
    open_ones = [image for image in near if image.verdict == "left"]
    if not open_ones:
        return list(near), "none found"
    if decision is None:
        raise ValueError(
            f"expected a decision about {len(open_ones):,} training "
            f"{'image that looks' if len(open_ones) == 1 else 'images that look'} like those asked "
            f"for: {described(open_ones)}; add --include-near to forget them, too, or --only to "
            "leave them"
        )
    if not decision:
        return list(near), "left"
    return [replace(f, verdict="to forget") if f in open_ones else f for f in near], "included"


def _answer_at_once(workspace: Workspace, number: int, images: Sequence[Found]) -> None:
    verdicts = {image.verdict for image in images}
    if "to forget" in verdicts:
        return
    if "already forgotten" in verdicts:
        run = entries.runs(workspace.db, "served")[-1].number
        why = "all of these images that were trained on are forgotten already"
        entries.change_request(workspace.db, number, "served", run=run, why=why)
    else:
        what = "found among the training images" if "not found" in verdicts else "trained on"
        why = f"none of these images was {what}"
        entries.change_request(workspace.db, number, "refused", why=why)


def _asked_before(pending: Sequence[Request], images: Sequence[Found]) -> list[str]:
    asked = {image.image for image in images if image.verdict == "to forget"}
    counts = {request.id: len(asked & request.to_forget.keys()) for request in pending}
    return [
        f"request {number}, which is pending, asks for {count} of these images, too"
        for number, count in counts.items()
        if count
    ]


def _warnings(received: date, due: date) -> list[str]:
    today, found = date.today(), []
    if due < today:
        found.append(f"due: {due} is in the past")
    if received > today:
        found.append(f"received: {received} is in the future")
    return found


def _later(came: date, days: int) -> date:
    try:
        return came + timedelta(days=days)
    except OverflowError:
        raise ValueError(
            f"received: expected a date with another {days} days later, got {came}; check the "
            "year, or name the day with --due"
        ) from None


def _date(text: str | None, name: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name}: expected a date such as 2026-03-31, got {text!r}") from None
