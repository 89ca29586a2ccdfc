"""What is asked for is found, or it is said that it is not there."""

import os
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
import torch
import workspaces
from PIL import Image

from lotus_unlearning import datasets
from lotus_unlearning.requests import entries, find, index, ledger
from lotus_unlearning.requests.intake import add, close
from lotus_unlearning.requests.workspace import opened


def asked(workspace, **options):
    with opened(workspace) as found:
        return add(found, **options)


def verdicts(request):
    return [(f.asked, f.found_by, f.image, f.verdict) for f in request.images]


def test_ids_are_those_of_the_published_data_set(workspace):
    one, two = workspaces.ids()[3], workspaces.ids()[8]
    request = asked(workspace, ids=[two, one]).request
    assert verdicts(request) == [(two, "id", two, "to forget"), (one, "id", one, "to forget")]
    assert request.state == "pending"
    assert all(len(f.content) == 32 for f in request.images)


def test_an_id_given_twice_counts_once_however_it_is_written(workspace, tmp_path):
    one = workspaces.ids()[3]
    file = workspaces.picture(tmp_path, 3)
    request = asked(workspace, ids=[one, one, f"0{one}", f"+{one}"], files=[str(file)]).request
    assert verdicts(request) == [(one, "id", one, "to forget")]
    assert request.images[0].note == f"also asked for as {file.name}"


def test_files_of_ids_are_read(workspace, tmp_path):
    one, two, three = workspaces.ids()[:3]
    (tmp_path / "list.txt").write_text(f"{one}\n{two}\n")
    (tmp_path / "list.csv").write_text(f"name,id\nx,{three}\n")
    files = [str(tmp_path / name) for name in ("list.txt", "list.csv")]
    assert [f.image for f in asked(workspace, ids=files).request.images] == [one, two, three]


def test_an_image_is_found_by_its_pixels(workspace, tmp_path):
    file = workspaces.picture(tmp_path, 5)
    request = asked(workspace, files=[str(file)]).request
    assert verdicts(request) == [(file.name, "equal pixels", workspaces.ids()[5], "to forget")]


def test_images_that_were_never_trained_on_are_refused_and_it_is_said_why(workspace, tmp_path):
    test = workspaces.data().test.official.ids.tolist()[0]
    limited = next(
        i
        for i in range(1797)
        if str(i) not in workspaces.ids()
        and i not in workspaces.data().test.official.ids
        and i not in workspaces.data().unseen.official.ids
    )
    noise = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    files = [str(tmp_path / "noise.png"), str(workspaces.picture(tmp_path, 2, "unseen"))]
    request = asked(workspace, ids=[str(test), str(limited)], files=files, near=False).request
    assert request.state == "refused"
    assert "none of these images was found among the training images" in request.why
    assert {f.verdict for f in request.images} <= {"never trained on", "not found", "left"}
    notes = [f.note for f in request.images if f.verdict != "left"]
    assert "held as test image" in notes[0]
    assert "left out of the training data" in notes[1]
    assert "no training image has these pixels" in notes[2]
    assert "held as unseen image" in notes[3]
    with opened(workspace) as found:
        states = [event.state for event in ledger.events(found.db, request=1)]
    assert states == ["pending", "refused"]


def test_test_images_with_numbers_of_their_own_are_no_training_images(tmp_path):
    """Fashion-MNIST and CIFAR number their test images from 0, too."""
    data = workspaces.data()
    known = index.build(replace(data, test=replace(data.test, official=None)))
    index.save(known, tmp_path / "index.npz")
    known = index.load(tmp_path / "index.npz")
    assert [known.parts[name].apart for name in index.PARTS] == [False, False, True]
    others = {*workspaces.ids(), *known.parts["unseen"].ids.tolist()}
    limited = next(str(i) for i in range(len(data.test)) if str(i) not in others)
    (found,) = find.search(known, [limited], [], forgotten={}, distance=0).images
    assert (found.image, found.content, found.verdict) == (None, None, "never trained on")
    assert found.note == "in the published data set, but left out of the training data"


def test_what_is_not_known_is_an_error_and_nothing_is_written(workspace, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"0\.\.1796.*9999, x\.png.*no image|text\.png") as error:
        asked(
            workspace,
            ids=[workspaces.ids()[0], "9999", "x.png"],
            files=[str(tmp_path / "text.png"), str(tmp_path / "gone.png")],
        )
    for part in ("9999, x.png", "text.png", "gone.png"):
        assert part in str(error.value)
    with opened(workspace) as found:
        assert entries.requests(found.db) == []


@pytest.mark.parametrize("word", ["./cat/0.png", "train/cat/0.png", "photos\\train\\cat\\0.png"])
def test_a_path_that_ends_with_a_known_one_is_told_which(photos, word):
    with pytest.raises(ValueError, match=r"not known: .*; did you mean 'cat/0\.png'\?"):
        find.search(photos, [word], [], forgotten={}, distance=0)


def test_images_that_another_request_asks_for_already_are_told(workspace):
    one, two, *_ = workspaces.ids()
    assert asked(workspace, ids=[one]).warnings == []
    again = asked(workspace, ids=[one, two])
    assert again.warnings == ["request 1, which is pending, asks for 1 of these images, too"]
    assert list(again.request.to_forget) == [one, two]


def test_a_request_for_nothing_is_an_error(workspace, tmp_path):
    with pytest.raises(ValueError, match="expected at least one image"):
        asked(workspace)
    with pytest.raises(ValueError, match=r"files alone in .*, got none"):
        asked(workspace, files=[str(_folder(tmp_path))])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An image folder in which b.png copies a.png, c.png looks like it, and d.png does not."""
    place, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    for part in ("train", "unseen", "test"):
        for name in ("cat", "dog"):
            (place / part / name).mkdir(parents=True)
            for i in range(3):
                pixels = draw.integers(0, 256, (4, 4, 3)).astype(np.uint8)
                image = Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC)
                image.save(place / part / name / f"{i}.png")
    first = Image.open(place / "train" / "cat" / "0.png")
    first.save(place / "train" / "dog" / "copy.png")
    lighter = np.clip(np.asarray(first).astype(int) + 6, 0, 255).astype(np.uint8)
    Image.fromarray(lighter).save(place / "train" / "dog" / "lighter.png")
    return place


@pytest.fixture(scope="module")
def photos(folder):
    return index.build(datasets.load(f"imagefolder:{folder}", size=16))


def test_paths_copies_and_similar_images_are_found_in_an_image_folder(photos):
    found = find.search(photos, ["cat/0.png"], [], forgotten={}, distance=4)
    assert [(f.image, f.found_by) for f in found.images] == [
        ("cat/0.png", "id"),
        ("dog/copy.png", "equal pixels"),
    ]
    assert [(f.image, f.found_by, f.verdict) for f in found.near] == [
        ("dog/lighter.png", "similar", "left")
    ]
    assert found.near[0].distance <= 4


def test_a_photo_that_was_resized_is_similar_and_not_equal(photos, folder, tmp_path):
    large = Image.open(folder / "train" / "cat" / "1.png").resize((64, 64))
    large.save(tmp_path / "large.png")
    found = find.search(photos, [], [str(tmp_path / "large.png")], forgotten={}, distance=4)
    assert found.images[0].verdict == "not found"
    apart = found.near[0].distance
    assert f"the most similar, cat/1.png, is {apart} of 64 bits apart" in found.images[0].note
    assert [f.image for f in found.near] == ["cat/1.png"]


def test_a_list_without_a_known_column_and_a_list_that_is_not_there_are_told(workspace, tmp_path):
    (tmp_path / "list.csv").write_text("image,who\n109,a\n115,b\n")
    known = index.load(workspace / index.FILE)

    def told(name):
        with pytest.raises(ValueError, match="expected ids") as caught:
            find.search(known, [str(tmp_path / name)], [], forgotten={}, distance=0)
        return str(caught.value)

    assert "a CSV file needs a column path, id or index in its first row, got 'image'" in told(
        "list.csv"
    )
    assert "there is no file" in told("other.csv")


def test_a_folder_of_images_is_looked_up_image_by_image(photos, folder):
    files = [str(folder / "train" / "dog")]
    found = find.search(photos, [], files, forgotten={}, distance=0)
    names = {f"dog/{name}.png" for name in ("0", "1", "2", "copy", "lighter")}
    assert {f.image for f in found.images} == names | {"cat/0.png"}


def test_similar_images_want_a_decision(workspace):
    known = index.load(workspace / index.FILE)
    pairs = [
        (i, j, int(index.distances(known.train.bits[i], known.train.bits)[j]))
        for i in range(150)
        for j in range(i)
    ]
    i, j, apart = min(pairs, key=lambda pair: pair[2])
    text = (workspace / "lotus.yaml").read_text()
    text = text.replace("near_distance: 2", f"near_distance: {apart}")
    (workspace / "lotus.yaml").write_text(text)
    one, other = workspaces.ids()[i], workspaces.ids()[j]
    said = rf"decision about 1 training image that looks like .*: {other} \(like {one}.*--only"
    with pytest.raises(ValueError, match=said):
        asked(workspace, ids=[one])
    left = asked(workspace, ids=[one], near=False).request
    taken = asked(workspace, ids=[one], near=True).request
    assert (left.near, taken.near) == ("left", "included")
    assert other not in left.to_forget
    assert other in taken.to_forget
    assert next(f for f in left.images if f.image == other).verdict == "left"


WRONG = {
    "two\nlines": r"with \\n in it",
    "\x1b[2J": r"with \\x1b in it",
    "bo\u202ess": r"with \\u202e \(RIGHT-TO-LEFT OVERRIDE\) in it",
    "two\u2028lines": r"with \\u2028 \(LINE SEPARATOR\) in it",
    "\udcff": r"with \\udcff in it",
    "   ": "not blank, got '   '",
    "\u200d": "not blank",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_references_and_reasons_are_one_line_of_text_each(workspace, text, message):
    with pytest.raises(ValueError, match=f"reference: expected one line of at most 200.*{message}"):
        asked(workspace, ids=[workspaces.ids()[0]], reference=text)
    with opened(workspace) as found:
        with pytest.raises(
            ValueError, match=f"reason: expected one line of at most 1000.*{message}"
        ):
            close(found, 1, "refused", text)
        with pytest.raises(ValueError, match=r"reason: expected .* not blank, got ''"):
            close(found, 1, "refused", "")


@pytest.mark.parametrize("reference", ["\U0001f469\u200d\U0001f4bb 12", "\u0645\u06cc\u200c\u0631"])
def test_joiners_of_emoji_and_of_persian_words_belong_to_a_reference(workspace, reference):
    request = asked(workspace, ids=[workspaces.ids()[0]], reference=reference).request
    assert request.reference == reference
    with pytest.raises(ValueError, match="got 201, 'xxx"):
        asked(workspace, ids=[workspaces.ids()[0]], reference="x" * 201)


def test_files_that_are_no_images_are_not_left_out_without_a_word(workspace, tmp_path):
    place = _folder(tmp_path)
    workspaces.picture(place, 5)
    (place / ".hidden").write_text("x")
    (place / "holiday.heic").write_text("x")
    (place / "more").mkdir()
    with pytest.raises(ValueError, match=r"alone in .*, got holiday\.heic, more; pass the images"):
        asked(workspace, files=[str(place)])


def _folder(tmp_path):
    """Beside the workspace."""
    (tmp_path / "letter").mkdir()
    return tmp_path / "letter"


def test_an_image_file_among_ids_is_told_where_it_belongs(workspace, tmp_path):
    with pytest.raises(ValueError, match="is an image file: pass it with --images"):
        asked(workspace, ids=[str(workspaces.picture(tmp_path, 5))])


def test_names_of_files_in_any_bytes_are_taken(workspace, tmp_path):
    file = workspaces.picture(tmp_path, 5).rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    assert asked(workspace, files=[str(file)]).request.images[0].asked == "caf\\xe9.png"


def test_a_copy_that_is_asked_for_itself_is_named_as_it_was_asked_for(photos):
    found = find.search(photos, ["cat/0.png", "dog/copy.png"], [], forgotten={}, distance=0)
    assert [(f.asked, f.found_by) for f in found.images] == [
        ("cat/0.png", "id"),
        ("dog/copy.png", "id"),
    ]


def test_dates_have_defaults_and_limits(workspace):
    one = workspaces.ids()[0]
    today = date.today()
    request = asked(workspace, ids=[one]).request
    assert request.received == str(today)
    assert request.due == str(today + timedelta(days=28))
    two, three = workspaces.ids()[1:3]
    late = asked(workspace, ids=[two], received="2020-01-01", due="2020-02-01")
    assert late.warnings == ["due: 2020-02-01 is in the past"]
    early = asked(workspace, ids=[three], received="2999-01-01")
    assert early.warnings == ["received: 2999-01-01 is in the future"]
    with pytest.raises(ValueError, match="due: expected a date from received"):
        asked(workspace, ids=[one], received="2020-02-01", due="2020-01-01")
    with pytest.raises(ValueError, match="received: expected a date such as"):
        asked(workspace, ids=[one], received="yesterday")
    with pytest.raises(ValueError, match=r"another 28 days later, got 9999-12-31; check the year"):
        asked(workspace, ids=[one], received="9999-12-31")


def test_a_pending_request_can_be_withdrawn_or_refused_once(workspace):
    workspaces.ask(workspace, workspaces.ids()[0])
    with opened(workspace) as found:
        closed = close(found, 1, "withdrawn", "taken back")
        assert (closed.state, closed.why) == ("withdrawn", "taken back")
        with pytest.raises(ValueError, match="request 1, which is withdrawn"):
            close(found, 1, "refused", "x")
        with pytest.raises(ValueError, match=r"id of one \(1 to 1\), got 2"):
            close(found, 2, "refused", "x")


def test_the_index_says_which_images_became_training_images(folder):
    data = datasets.load(f"imagefolder:{folder}", size=16)
    known = index.build(data)
    assert index.changes(known, data) == []
    (folder / "train" / "cat" / "new.png").write_bytes(
        (folder / "train" / "dog" / "1.png").read_bytes()
    )
    try:
        more = datasets.load(f"imagefolder:{folder}", size=16)
        (sentence,) = index.changes(known, more)
        assert "1 of the train images were no train images" in sentence
    finally:
        (folder / "train" / "cat" / "new.png").unlink()


def test_the_index_survives_being_written_and_read(photos, tmp_path):
    index.save(photos, tmp_path / index.FILE)
    again = index.load(tmp_path / index.FILE)
    assert (again.shape, again.official, again.exact) == ((3, 16, 16), 0, True)
    for name, part in photos.parts.items():
        for key in ("ids", "content", "bits"):
            assert np.array_equal(getattr(part, key), getattr(again.parts[name], key))
    (tmp_path / index.FILE).write_bytes(b"PK")
    with pytest.raises(ValueError, match="index of the workspace's images"):
        index.load(tmp_path / index.FILE)


def test_perceptual_hashes_are_those_of_floats_too(photos):
    pixels = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8, generator=torch.Generator())
    one, other = index._bits(pixels), index._bits(pixels.float() / 127 - 1)
    assert int((one != other).sum()) <= 2


def test_an_index_that_was_changed_is_found_before_a_word_of_it_is_believed(workspace):
    one = workspaces.ids()[0]
    known = index.load(workspace / index.FILE)
    parts = {**known.parts, "train": known.parts["unseen"]}
    index.save(replace(known, parts=parts), workspace / index.FILE)
    with pytest.raises(ValueError, match=r"index.npz: expected the file with SHA-256 .* a backup"):
        workspaces.ask(workspace, one)


def test_lists_without_ids_and_commas_between_them_are_told(workspace, tmp_path):
    one, two, *_ = workspaces.ids()
    (tmp_path / "empty.csv").write_text("id\n")
    with pytest.raises(ValueError, match=r"expected ids in '.*empty.csv', which holds none"):
        workspaces.ask(workspace, one, str(tmp_path / "empty.csv"))
    with pytest.raises(ValueError, match="put spaces between them, not commas"):
        workspaces.ask(workspace, f"{one},{two}")
