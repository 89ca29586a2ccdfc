"""The record of a request: what it holds, and that no byte of it can be changed unnoticed."""

import json
import os
import random
import shutil
import stat
import subprocess
import sys
from hashlib import blake2b, sha256

import pytest
import workspaces
from browser import needs_chromium, overflows
from printed import PAPER, as_on_paper, differences

from lotus_unlearning.requests import entries, ledger, signing, verify
from lotus_unlearning.requests.auditing import Audited
from lotus_unlearning.requests.canonical import canonical
from lotus_unlearning.requests.export import export
from lotus_unlearning.requests.intake import close
from lotus_unlearning.requests.serve import serve
from lotus_unlearning.requests.workspace import opened

FILES = {"record.json", "record.html", "public.pem", "SHA256SUMS", "SHA256SUMS.sig"}


@pytest.fixture(scope="module")
def served(template, tmp_path_factory):
    """A workspace with a request of three images, and another one, that were served."""
    folder = workspaces.copied(template, tmp_path_factory.mktemp("export") / "deletion")
    test = str(workspaces.data().test.official.ids.tolist()[0])
    workspaces.ask(folder, *workspaces.ids()[:2], test, reference="ticket <812> & more")
    workspaces.ask(folder, workspaces.ids()[77])
    with opened(folder, alone=True) as workspace:
        serve(workspace)
    return folder


@pytest.fixture(scope="module")
def exported(served, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "request-1"
    with opened(served) as workspace:
        return export(workspace, 1, str(out))


@pytest.fixture
def record(exported):
    return json.loads((exported / "record.json").read_text("utf-8"))


def of(workspace, number, **options):
    with opened(workspace) as found:
        return json.loads((export(found, number, **options) / "record.json").read_text("utf-8"))


def test_the_folder_holds_the_record_and_what_verifies_it(exported):
    assert {path.name for path in exported.iterdir()} == FILES
    found = verify.verify(exported)
    assert found.problems == []
    assert found.files == ["public.pem", "record.html", "record.json"]


def test_the_record_says_what_was_asked_found_and_done(record, served):
    with opened(served) as workspace:
        run = entries.runs(workspace.db)[1]
        rows = ledger.events(workspace.db)
    assert record["request"] == {
        "id": 1,
        "reference": "ticket <812> & more",
        "received": record["request"]["received"],
        "due": record["request"]["due"],
        "state": "served",
        "why": "",
    }
    assert record["answer"] == (
        "The request was served by run 1. Its images: 2 unlearned by Finetune, 1 never trained on. "
        "No audit was made."
    )
    assert [f["verdict"] for f in record["images"]] == [
        "to forget",
        "to forget",
        "never trained on",
    ]
    made = record["run"]
    assert made["model_after"] == {"weights_sha256": run.weights, "file_sha256": run.file}
    assert made["model_before"]["weights_sha256"] == run.record["started_from"]["weights_sha256"]
    assert made["method"]["name"] == "Finetune"
    assert made["method"]["settings"]["learning_rate"] == 0.001
    assert made["seeds"]["unlearning"] == 1
    named = {"torch", "torchvision", "timm", "numpy", "lotus-unlearning", "python"}
    assert named <= made["versions"].keys()
    assert made["made_on"]["batch_size"] == 128
    assert {made["made_on"]["device"], made["made_on"]["precision"]}.isdisjoint({"auto", ""})
    first = workspaces.data().train.images[0]
    shape = f"{tuple(first.shape)}torch.uint8".encode()
    by_hand = blake2b(shape + first.numpy().tobytes(), digest_size=16).hexdigest()
    assert record["images"][0]["content"] == by_hand
    assert "BLAKE2b with a digest of 16 bytes" in record["hash_of_images"]
    own = record["evidence"]["of_this_request"]
    assert own["images"] == 2
    low, high = own["after"]["accuracy_interval"]
    assert low <= own["after"]["accuracy"] <= high
    assert [row["state"] for row in record["history"]] == [
        "pending",
        "prepared",
        "served",
        "served",
    ]
    assert record["ledger"] == {"rows": len(rows), "last_hash": rows[-1].hash}
    assert record["earlier_models_kept"] == [0]
    assert record["audit"] is None
    assert any("No audit" in sentence for sentence in record["limits"])
    assert any("models derived from it" in sentence for sentence in record["not_covered"])


def test_the_record_is_in_canonical_form(exported, record):
    assert (exported / "record.json").read_bytes() == canonical(record)


def test_nothing_is_told_of_the_images_of_other_requests(exported, record):
    other = workspaces.ids()[77]
    content = next(f["content"] for f in record["images"] if f["image"] == workspaces.ids()[0])
    assert content in (exported / "record.json").read_text("utf-8")
    for name in ("record.json", "record.html"):
        text = (exported / name).read_text("utf-8")
        assert f'"{other}"' not in text
        assert "data:image" not in text


def test_the_page_is_one_file_that_loads_nothing(exported):
    page = (exported / "record.html").read_text("utf-8")
    assert "ticket &lt;812&gt; &amp; more" in page
    title = "Deletion request 1: served; unlearned by Finetune; no audit was made"
    assert f"<h1>{title}</h1>" in page
    assert "Content-Security-Policy" in page
    for what in ("<script", "src=", "@import", "url("):
        assert what not in page
    for section in ("What was asked", "What was found", "What was done", "What was measured"):
        assert section in page
    for word in ("certified", "guaranteed", "guarantee"):
        assert word not in page.lower()
        assert word not in (exported / "record.json").read_text("utf-8").lower()


@needs_chromium
@pytest.mark.parametrize("width", [1280, 360])
def test_a_real_browser_logs_nothing_and_nothing_overflows(exported, tmp_path, width):
    assert overflows((exported / "record.html").read_text("utf-8"), tmp_path, width) == []


@needs_chromium
def test_all_of_the_record_is_printed_but_for_what_is_clicked(exported, tmp_path):
    page = (exported / "record.html").read_text("utf-8")
    assert differences(page, tmp_path) == []
    assert overflows(as_on_paper(page), tmp_path, PAPER) == []


def test_a_flipped_byte_of_any_file_is_found(exported, tmp_path):
    draw = random.Random(0)
    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    for name in sorted(FILES):
        data = (folder / name).read_bytes()
        places = range(len(data))
        if len(data) > 500:
            places = [0, len(data) - 1, *draw.sample(places, 498)]
        for place in places:
            flipped = bytearray(data)
            flipped[place] ^= draw.randrange(1, 256)
            (folder / name).write_bytes(flipped)
            found = verify.verify(folder)
            assert found.problems, f"byte {place} of {name}"
            assert name.removesuffix(".sig") in " ".join(found.problems)
        (folder / name).write_bytes(data)
    assert verify.verify(folder).problems == []


def test_files_that_were_added_removed_cut_or_replaced_are_found(exported, tmp_path):
    def copy(name):
        shutil.copytree(exported, tmp_path / name)
        return tmp_path / name

    def special(name):
        folder = copy(f"special-{name}")
        (folder / name).unlink()
        os.mkfifo(folder / name)
        return folder

    def problems(folder):
        return " ".join(verify.verify(folder).problems)

    (copy("added") / "annex.pdf").write_text("x")
    assert "annex.pdf: not among the files that were signed" in problems(tmp_path / "added")
    (copy("inside") / "more").mkdir()
    (tmp_path / "inside" / "more" / "x").write_text("x")
    assert "more/x: not among" in problems(tmp_path / "inside")
    (copy("removed") / "record.html").unlink()
    assert "record.html: was removed" in problems(tmp_path / "removed")
    file = copy("cut") / "record.html"
    file.write_bytes(file.read_bytes()[:-1])
    assert "record.html: was changed" in problems(tmp_path / "cut")
    file = copy("link") / "record.html"
    file.unlink()
    file.symlink_to(exported / "record.html")
    assert "record.html: expected a file" in problems(tmp_path / "link")
    with (copy("huge") / "SHA256SUMS.sig").open("r+b") as file:
        file.truncate(1 << 40)  # sparse: reading all of it would not end
    assert "expected a signature" in problems(tmp_path / "huge")
    with pytest.raises(ValueError, match="expected a folder made by"):
        problems(special("SHA256SUMS"))
    assert "record.html: expected a file" in problems(special("record.html"))
    (copy("keyless") / "public.pem").unlink()
    assert "public.pem: expected in the folder" in problems(tmp_path / "keyless")
    with pytest.raises(ValueError, match="expected a folder made by lotus request export"):
        verify.verify(tmp_path)


def test_a_forger_with_a_key_of_his_own_is_found_by_the_issuers_key(exported, served, tmp_path):
    folder = tmp_path / "forged"
    shutil.copytree(exported, folder)
    signing.make_keys(tmp_path / "keys")
    (folder / "record.json").write_text("{}")
    (folder / "public.pem").write_bytes((tmp_path / "keys" / "public.pem").read_bytes())
    digests = {
        name: sha256((folder / name).read_bytes()).hexdigest()
        for name in ("record.json", "record.html", "public.pem")
    }
    sums = verify.listed_sums(digests)
    (folder / "SHA256SUMS").write_bytes(sums)
    (folder / "SHA256SUMS.sig").write_bytes(signing.sign(tmp_path / "keys", sums)[0])
    alone = verify.verify(folder)
    assert alone.problems == []
    assert not alone.given
    issuer = served / "keys" / "public.pem"
    assert "expected a signature" in " ".join(verify.verify(folder, issuer).problems)
    real = verify.verify(exported, issuer)
    assert (real.problems, real.given) == ([], True)
    assert real.fingerprint != alone.fingerprint
    with pytest.raises(ValueError, match=r"key: .*expected an Ed25519 public key"):
        verify.verify(exported, exported / "record.json")
    with pytest.raises(ValueError, match="found none"):
        verify.verify(exported, tmp_path / "gone.pem")


def test_verifying_needs_neither_torch_nor_the_workspace(exported, tmp_path):
    folder = tmp_path / "sent"
    shutil.copytree(exported, folder)
    code = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'jinja2', 'sklearn', 'pandas'): sys.modules[name] = None\n"
        "from lotus_unlearning.cli import main\n"
        f"sys.exit(main(['request', 'verify', {str(folder)!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "as it was signed: public.pem, record.html, record.json" in done.stdout
    assert "could be anybody's" in done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the command openssl")
def test_the_signature_and_the_hashes_are_checked_by_common_tools(exported):
    words = "openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in SHA256SUMS -sigfile"
    signed = subprocess.run([*words.split(), "SHA256SUMS.sig"], cwd=exported, check=False)
    sums = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=exported)
    assert (signed.returncode, sums.returncode) == (0, 0)


def test_the_private_key_is_for_its_owner_alone_and_never_exported(served, exported):
    key = served / "keys" / "private.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    secret = key.read_bytes().splitlines()[1]
    assert all(secret not in path.read_bytes() for path in exported.iterdir())


def test_a_private_key_that_others_may_read_or_that_is_gone_is_refused(workspace):
    workspaces.ask(workspace, workspaces.ids()[0])
    key = workspace / "keys" / "private.pem"
    os.chmod(key, 0o644)
    with pytest.raises(ValueError, match="expected mode 600, got 644"):
        of(workspace, 1)
    key.unlink()
    with pytest.raises(ValueError, match="expected the private key"):
        of(workspace, 1)
    assert not (workspace / "exports").exists() or not list((workspace / "exports").iterdir())


def test_a_request_that_is_not_served_has_a_record_too(workspace):
    test = str(workspaces.data().test.official.ids.tolist()[0])
    workspaces.ask(workspace, test)
    workspaces.ask(workspace, workspaces.ids()[0])
    refused, pending = of(workspace, 1), of(workspace, 2)
    assert refused["request"]["state"] == "refused"
    assert "None of these images was trained on" in refused["answer"]
    assert refused["run"] is None
    assert "no model without these images is served yet" in pending["answer"]
    with opened(workspace) as found:
        close(found, 2, "withdrawn", "taken back")
    assert of(workspace, 2)["answer"].startswith("The request was withdrawn. Taken back.")
    names = sorted(path.name for path in (workspace / "exports").iterdir())
    assert names == ["request-1", "request-2", "request-2-2"]


def test_a_request_that_was_answered_at_once_is_measured_when_its_record_is_issued(
    served, tmp_path
):
    folder = workspaces.copied(served, tmp_path / "deletion")
    workspaces.ask(folder, workspaces.ids()[0])
    record = of(folder, 3)
    assert record["request"]["why"].startswith("all of these images that were trained on")
    found = record["evidence"]["of_this_request"]
    assert found["images"] == 1
    for name in ("before", "after"):
        low, high = found[name]["accuracy_interval"]
        assert low <= found[name]["accuracy"] <= high
    how = record["evidence"]["of_this_request_measured"]
    assert how.startswith("when this record was issued, on 1 of its 1 images; after is the model")
    page = (folder / "exports" / "request-3" / "record.html").read_text("utf-8")
    assert how in page
    (folder / "runs" / "0000" / "model.safetensors").unlink()
    assert of(folder, 3)["evidence"]["of_this_request"].keys() == {"images", "after"}


def test_a_model_before_may_be_deleted_and_the_record_says_so(served, tmp_path):
    folder = workspaces.copied(served, tmp_path / "deletion")
    (folder / "runs" / "0000" / "model.safetensors").unlink()
    assert of(folder, 1)["earlier_models_kept"] == []


def test_later_runs_and_earlier_attempts_are_in_the_record(workspace):
    passes = []

    def audit(before, after, splits, *, level, seed, forgotten_before):
        passes.append(seed)
        return Audited(len(passes) != 1, "worse", {"self_test": {"held-out gold passes": 0.96}})

    text = (workspace / "lotus.yaml").read_text().replace("audit_level: 0", "audit_level: 1")
    (workspace / "lotus.yaml").write_text(text)
    workspaces.ask(workspace, workspaces.ids()[0], workspaces.ids()[1])
    for number in range(3):
        if number == 2:
            workspaces.ask(workspace, workspaces.ids()[2])
        with opened(workspace, alone=True) as found:
            serve(found, audit=audit)
    record = of(workspace, 1)
    assert record["run"]["number"] == 2
    assert [row["why"] for row in record["kept_from_being_served"]] == ["worse"]
    assert record["audit"]["facts"]["self_test"] == {"held-out gold passes": 0.96}
    assert record["since_then"]["run"] == 3
    assert record["since_then"]["of_this_request"]["images"] == 2
    assert not any("No audit" in sentence for sentence in record["limits"])
    page = (workspace / "exports" / "request-1" / "record.html").read_text("utf-8")
    assert "held-out gold passes" in page
    assert "served now (run 3)" in page
