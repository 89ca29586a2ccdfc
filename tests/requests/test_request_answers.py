"""The answer to a request names the deed, and beside it what its audit says."""

import pytest

from lotus_unlearning.requests import page
from lotus_unlearning.requests.answers import answer, finding, headline
from lotus_unlearning.requests.entries import Found, Request, Run

SAME = "indistinguishable from retraining at the tested power"
IMAGES = [Found("1", "id", "1", "ab", "to forget"), Found("2", "id", "2", "cd", "to forget")]


def audit(outcome, original="distinguishable", **more):
    facts = {"outcome": outcome, "self_test": {"original": original}, **more}
    return {"passed": True, "why": "audit", "facts": facts}


def served(found, retrained=False):
    record = {"method": {"name": "SCRUB"}, "retrained": retrained, "audit": found}
    run = Run(1, "a", "b", record, [1], "served", "", "2026-01-01")
    request = Request(1, "", "2026-01-01", "2026-01-29", "none found", IMAGES, "served", "", 1)
    return answer(request, run)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "No audit was made."),
        (audit("distinguishable"), "The audit says: distinguishable from retraining."),
        (audit(SAME), f"The audit says: {SAME}."),
        (
            audit(SAME, SAME),
            f"The audit says: {SAME}; the original is not found out either: no trace that this "
            "verdict can see.",
        ),
        (
            audit("distinguishable", new_images={"images": 1, "outcome": SAME}),
            "The audit says: distinguishable from retraining; of the new images alone: "
            f"{SAME}.",
        ),
        (
            audit("not enough gold models to say", "not enough gold models to say"),
            "The audit says: not enough gold models to say.",
        ),
    ],
)  # fmt: skip
def test_the_answer_says_what_was_done_and_what_the_audit_says(found, words):
    said = served(found)
    assert said == (f"The request was served by run 1. Its images: 2 unlearned by SCRUB. {words}")
    assert " forgotten" not in said


def test_images_that_were_left_out_of_a_new_training_are_said_to_be():
    assert "2 left out of a new training" in served(None, retrained=True)


def test_the_headline_holds_both_and_no_promise():
    title = headline(3, "served", "unlearned by SCRUB", audit("distinguishable"))
    assert title == (
        "Deletion request 3: served; unlearned by SCRUB; the audit says: distinguishable from "
        "retraining"
    )
    assert headline(3, "refused", "", None) == "Deletion request 3: refused"
    for word in ("certif", "guarant"):
        assert word not in (title + finding(audit(SAME, SAME))).lower()


def test_the_page_shows_the_deed_for_each_image():
    image = {
        "asked": "1", "found_by": "id", "image": "1", "content": "ab", "verdict": "to forget",
        "note": "", "distance": None,
    }  # fmt: skip
    assert page._image(image, "served", "unlearned by SCRUB")["verdict"] == "unlearned by SCRUB"
