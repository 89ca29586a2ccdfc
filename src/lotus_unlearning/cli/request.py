"""``lotus request``: deletion requests, from the letter to the signed record.

What only reads (list, show, verify) imports no torch.
"""

import json
import sys
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lotus_unlearning.cli import parsing
from lotus_unlearning.wording import did_you_mean, harmless

WORKSPACE = "deletion"
_ABOUT = {
    "init": "make a workspace around a trained model: ledger, settings, keys",
    "add": "take a request in",
    "list": "all requests, and the model that is served",
    "show": "everything about one request",
    "run": "forget what all pending requests ask for, measure, and swap the model",
    "export": "the signed record of one request",
    "verify": "check an exported record",
    "withdraw": "close a pending request that was taken back",
    "refuse": "close a pending request that is not to be served",
}
_EXAMPLES = {
    "init": "lotus request init --model runs/original --method scrub",
    "add": """lotus request add --ids 9 43 --reference ticket-812 --received 2026-03-02
lotus request add --ids cats/1.png to_delete.csv --due 2026-04-30
lotus request add --images letters/2026-03-02/ --include-near""",
    "list": "lotus request list",
    "show": "lotus request show 1",
    "run": """lotus request run
lotus request run --retrain       (train anew, without the images)""",
    "export": "lotus request export 1 --out for-the-subject",
    "verify": "lotus request verify for-the-subject --key public.pem",
    "withdraw": 'lotus request withdraw 1 --reason "taken back by letter of 2026-03-09"',
    "refuse": 'lotus request refuse 1 --reason "the images are not of the person who asks"',
}
_HELP = """usage: lotus request ACTION [options]

Deletion requests: a ledger, the model that is served, and signed records.

actions:
{actions}

lotus request ACTION --help   tells the options of an action

examples:
{examples}
"""
_IDS = (
    "ids as for lotus unlearn --forget, paths relative to the image folder, or files of these (one "
    "per line, or CSV)"
)


def main(words: list[str]) -> int:
    """Run one action.

    Returns:
        0; 1 if a new model was not served, or a record is not as it was signed.

    Raises:
        UsageError: If there is no such action, or its options cannot be read.
    """
    if not words or words[0] in ("-h", "--help"):
        actions = "\n".join(f"  {name:<9} {about}" for name, about in _ABOUT.items())
        lines = "\n".join(f"  {x}" for text in _EXAMPLES.values() for x in text.splitlines())
        print(_HELP.format(actions=actions, examples=lines))
        raise SystemExit(0)
    action, *rest = words
    if action not in _ABOUT:
        hint = did_you_mean(action, _ABOUT)
        raise parsing.UsageError(f"expected one of {', '.join(_ABOUT)}; got {action!r}{hint}")
    if action == "init":
        from lotus_unlearning.cli.request_init import init

        return init(rest)
    summary = f"{_ABOUT[action][0].upper()}{_ABOUT[action][1:]}."
    parser = parsing.parser(f"request {action}", summary, _EXAMPLES[action])
    _add_options(parser, action)
    chosen = parsing.parse(parser, rest)
    return _ACTIONS[action](chosen)


def _add_options(parser: ArgumentParser, action: str) -> None:
    if action in ("show", "export", "withdraw", "refuse"):
        parser.add_argument("id", type=int, help="of the request")
    if action == "verify":
        parser.add_argument("folder", type=str, help="made by lotus request export")
        parser.add_argument(
            "--key", type=str | None, default=None, help="issuer's public key, got by another way"
        )
    else:
        parser.add_argument("--workspace", type=str, default=WORKSPACE, help="folder made by init")
    if action in ("list", "show", "verify"):
        parser.add_argument("--json", action="store_true", help="for machines")
    if action in ("withdraw", "refuse"):
        parser.add_argument("--reason", type=str, required=True, help="for the record")
    if action == "run":
        parser.add_argument("--retrain", action="store_true", help="by the recipe in lotus.yaml")
    if action == "export":
        parser.add_argument(
            "--out", type=str | None, default=None, help="new folder (default: in the workspace)"
        )
    if action == "add":
        _add_images(parser)


def _add_images(parser: ArgumentParser) -> None:
    parser.add_argument("--ids", "--paths", nargs="+", type=str, default=[], help=_IDS)
    parser.add_argument(
        "--images", nargs="+", type=str, default=[], help="image files, or folders of them"
    )
    parser.add_argument(
        "--include_near", action="store_true", help="forget training images that look alike, too"
    )
    parser.add_argument("--only", action="store_true", help="leave images that only look alike")
    parser.add_argument(
        "--reference", type=str, default="", help="whose it is: a ticket number, not a name"
    )
    parser.add_argument("--received", type=str | None, default=None, help="date (default: today)")
    parser.add_argument(
        "--due", type=str | None, default=None, help="date (default: due_days after received)"
    )


def _add(chosen: Any) -> int:
    from lotus_unlearning.requests.answers import answer, in_words
    from lotus_unlearning.requests.intake import add
    from lotus_unlearning.requests.workspace import opened

    if chosen.include_near and chosen.only:
        raise ValueError("expected --include-near or --only, got both; decide for one")
    near = True if chosen.include_near else False if chosen.only else None
    with opened(chosen.workspace) as workspace:
        added = add(
            workspace,
            ids=chosen.ids,
            files=chosen.images,
            reference=chosen.reference,
            received=chosen.received,
            due=chosen.due,
            near=near,
        )
    for warning in added.warnings:
        _say(f"warning: {warning}")
    request = added.request
    for found in request.images:
        if found.verdict != "to forget" or found.note:
            note = f" ({found.note})" if found.note else ""
            _print(f"{found.asked}: {in_words(found.verdict, request.state)}{note}")
    _print(f"request {request.id}, due {request.due}. {answer(request)}")
    return 0


def _list(chosen: Any) -> int:
    from lotus_unlearning.requests import entries, text
    from lotus_unlearning.requests.workspace import opened, served_run

    with opened(chosen.workspace) as workspace:
        requests = entries.requests(workspace.db)
        try:
            run = served_run(workspace)
        except ValueError:
            _print(text.table(requests, date.today()))  # these are known, whatever is served
            raise
    if chosen.json:
        facts = {"number": run.number, "since": run.at, "weights_sha256": run.weights}
        facts["drift"] = run.record.get("drift")
        _print_json({"requests": [entries.as_plain(r) for r in requests], "served": facts})
        return 0
    today = date.today()
    _print(text.table(requests, today))
    _say("\n".join(text.standing(run, requests, today)))
    return 0


def _show(chosen: Any) -> int:
    from lotus_unlearning.requests import entries, ledger, text
    from lotus_unlearning.requests.workspace import opened

    with opened(chosen.workspace) as workspace:
        request = entries.request(workspace.db, chosen.id)
        history = ledger.events(workspace.db, request=chosen.id)
        runs = {run.number: run for run in entries.runs(workspace.db)}
    run = runs.get(request.run) if request.run is not None else None
    if chosen.json:
        rows = [vars(event) for event in history]
        made = None if run is None else entries.as_plain(run)
        _print_json({"request": entries.as_plain(request), "history": rows, "run": made})
    else:
        _print(text.details(request, history, run))
    return 0


def _run(chosen: Any) -> int:
    from lotus_unlearning.requests import text
    from lotus_unlearning.requests.auditing import against_golds
    from lotus_unlearning.requests.serve import serve
    from lotus_unlearning.requests.workspace import opened

    with opened(chosen.workspace, alone=True) as workspace:
        audit = against_golds(workspace, workspace.settings, _say)
        try:
            made = serve(workspace, retrain=chosen.retrain, audit=audit)
        except KeyboardInterrupt:
            kept = "; golds that are finished are kept" if workspace.settings.audit_level else ""
            raise KeyboardInterrupt(f"interrupted{kept}. The same command goes on.") from None
    if made is None:
        print("no request is pending")
        return 0
    for warning in made.warnings:
        _say(f"warning: {warning}")
    run = made.run
    _print("\n".join(text.outcome(run)))
    if run.state == "served":
        numbers = ", ".join(str(number) for number in run.requests)
        _print(f"served: request {numbers}; the model is {Path(chosen.workspace) / 'current'}")
        _say("\n".join(text.drift(run.record["drift"])))
        _say(text.not_done(chosen.workspace))
        return 0
    ways = ("method or limits in lotus.yaml, or use --retrain", "limits or recipe in lotus.yaml")
    _say(
        f"run {run.number}: the model before is still served and the requests stay pending, "
        f"because: {run.why}. Change {ways[chosen.retrain]}."
    )
    return 1


def _export(chosen: Any) -> int:
    from lotus_unlearning.requests.export import export
    from lotus_unlearning.requests.workspace import opened

    with opened(chosen.workspace) as workspace:
        _print(f"{export(workspace, chosen.id, chosen.out)}")
    return 0


def _verify(chosen: Any) -> int:
    from lotus_unlearning.requests.verify import verify

    found = verify(chosen.folder, chosen.key)
    if chosen.json:
        _print_json(vars(found))
    elif found.problems:
        _say("\n".join(["not as it was signed:", *(f"- {p}" for p in found.problems)]))
    else:
        _print(f"as it was signed: {', '.join(found.files)}")
        print(f"key: {found.fingerprint}")
        if not found.given:
            _say(
                "this key came with the folder and could be anybody's: compare it with one that "
                "you got from the issuer by another way, or pass that one with --key"
            )
    return 1 if found.problems else 0


def _close(chosen: Any, state: str) -> int:
    from lotus_unlearning.requests.answers import answer
    from lotus_unlearning.requests.intake import close
    from lotus_unlearning.requests.workspace import opened

    with opened(chosen.workspace) as workspace:
        _print(answer(close(workspace, chosen.id, state, chosen.reason)))
    return 0


_ACTIONS: dict[str, Callable[[Any], int]] = {
    "add": _add,
    "list": _list,
    "show": _show,
    "run": _run,
    "export": _export,
    "verify": _verify,
    "withdraw": partial(_close, state="withdrawn"),
    "refuse": partial(_close, state="refused"),
}


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))  # in ASCII: names of files cannot steer the terminal


def _say(line: str) -> None:
    print(harmless(line), file=sys.stderr, flush=True)


def _print(line: str) -> None:
    print(harmless(line))
