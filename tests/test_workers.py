"""Worker processes: one thread each."""

import os

from mpkit.data.workers import THREAD_VARIABLES, run_jobs


def thread_settings() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in THREAD_VARIABLES}


def test_a_worker_has_one_thread_and_its_parent_keeps_its_own(tmp_path, monkeypatch):
    """Else every worker has a thread for each core."""
    monkeypatch.setenv(THREAD_VARIABLES[0], "3")
    monkeypatch.delenv(THREAD_VARIABLES[1], raising=False)
    before = thread_settings()
    results = dict(run_jobs(thread_settings, {"first": (), "second": ()}, 2, tmp_path))
    assert all(found == dict.fromkeys(THREAD_VARIABLES, "1") for found in results.values()) and len(results) == 2
    assert thread_settings() == before
