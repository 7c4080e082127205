"""The demo page for tests: its modules, with the tests' small weights, and a client of the launched page."""

import socket
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "demo"


@pytest.fixture(scope="session")
def app(weights):
    """The module demo/app.py. The other modules of the page can be imported by their names then."""
    pytest.importorskip("gradio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPKIT_WEIGHTS", str(weights))
        patch.syspath_prepend(str(DEMO))
        import app

        assert Path(app.__file__).parent == DEMO
        yield app
    for name in [name for name, module in sys.modules.items() if str(DEMO) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def address(app, tmp_path_factory):
    """The address of the launched page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("cache")))
        page = app.build()
        quiet = {"prevent_thread_lock": True, "quiet": True, "server_name": "127.0.0.1"}
        page.launch(server_port=port, **quiet, **app.LOOK, **app.LIMITS)
        yield f"http://127.0.0.1:{port}"
        page.close()


@pytest.fixture(scope="session")
def new_client(address, tmp_path_factory):
    """Makes clients of the page, each a visitor."""
    gradio_client = pytest.importorskip("gradio_client")

    def make():
        return gradio_client.Client(address, verbose=False, download_files=str(tmp_path_factory.mktemp("client")))

    return make


def handle(path):
    """A file as an argument of a client's call."""
    from gradio_client import handle_file

    return handle_file(str(path))
