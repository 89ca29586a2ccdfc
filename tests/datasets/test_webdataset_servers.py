"""Shards of web servers: one that fails is an error, one that does not list is a warning."""

import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lotus_unlearning.datasets.addresses import parts_of

pytest.importorskip("aiohttp")  # what fsspec reads addresses of web servers with
FILES = [f"train-{i}.tar" for i in range(2)] + ["test-0.tar"]


class _Server(BaseHTTPRequestHandler):
    def do_GET(self):
        folder, _, name = self.path.rpartition("/")
        code = self.server.codes.get(
            name, 200 if folder == "/data" and name in ("", *FILES) else 404
        )
        page = "".join(f'<a href="{file}">{file}</a>' for file in FILES) if not name else "tar"
        self.send_response(code)
        self.send_header("Content-Type", "text/html" if not name else "application/x-tar")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(page.encode())

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as made:
        made.codes = {}
        made.at = f"http://127.0.0.1:{made.server_address[1]}/data"
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize("pattern", ["train-{0..1}.tar", "train-*.tar", ""])
def test_shards_of_a_server_that_lists_are_found(server, pattern):
    found = parts_of(f"{server.at}/{pattern}", None)
    assert found == {
        "train": [f"{server.at}/train-{i}.tar" for i in range(2)],
        "test": [f"{server.at}/test-0.tar"],
    }


@pytest.mark.parametrize("code", [403, 404, 405])
def test_a_server_that_does_not_list_is_a_warning(server, code):
    server.codes[""] = code
    with pytest.warns(UserWarning, match="test and unseen shards were not looked for, as the"):
        found = parts_of(f"{server.at}/train-{{0..1}}.tar", None)
    assert found.keys() == {"train"}


@pytest.mark.parametrize(
    ("name", "pattern"), [("", "train-{0..1}.tar"), ("train-1.tar", "train-{0..1}.tar"), ("", "")]
)
def test_a_server_that_fails_is_an_error(server, name, pattern):
    server.codes[name] = 503
    with pytest.raises(ValueError, match=r"expected the server to answer for http.*503"):
        parts_of(f"{server.at}/{pattern}", None)


def test_a_server_that_cannot_be_reached_is_an_error(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match=r"expected the server to answer.*Connect"):
        parts_of(f"{server.at}/train-{{0..1}}.tar", None)


def test_a_shard_that_is_not_there_is_missing(server):
    with pytest.raises(ValueError, match=r"1 are missing: .*train-2\.tar; get"):
        parts_of(f"{server.at}/train-{{0..2}}.tar", None)


def test_one_shard_beside_others_is_no_reason_to_warn(server):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parts_of(f"{server.at}/train-0.tar", None).keys() == {"train", "test"}
