"""Runtimes from elsewhere, against a server on loopback that may change, fail, stall or vanish."""

import json
import threading
from base64 import b64encode
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reconciler.sources.runtimes import available_runtimes, http_cache
from reconciler.sources.runtimes.available_runtimes import RuntimeRefresher, load_available_runtimes
from reconciler.sources.runtimes.builtin_runtimes import builtin_folder, load_builtin_runtimes
from reconciler.sources.runtimes.http_cache import CachedFetcher, FetchError
from reconciler.sources.runtimes.remote_runtimes import GITHUB_TTL, GitHub, RemoteSources
from tests.sources.manifest_folder import Clock, job, runtime


class Site:
    """What a server has; counts and keeps the requests."""

    def __init__(self):
        self.pages = {}
        self.status = 200
        self.requests = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.requests.append((self.path, dict(self.headers)))
                body = site.pages.get(self.path)
                status = 404 if body is None else site.status
                etag = f'"{hash(body)}"'
                if status == 200 and self.headers.get("If-None-Match") == etag:
                    status, body = 304, b""
                self.send_response(status)
                self.send_header("ETag", etag)
                if status == 403:
                    self.send_header("X-RateLimit-Remaining", "0")
                self.end_headers()
                if body and status == 200:
                    try:
                        self.wfile.write(body)
                    except ConnectionError:
                        return

            def log_message(self, *_):
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def asked(self, path):
        return Counter(where for where, _ in self.requests)[path]


@pytest.fixture
def site():
    made = Site()
    yield made
    made.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sources(tmp_path, site, clock):
    def make(*wanted, token=""):
        github = GitHub(api=f"{site.url}/api", raw=f"{site.url}/raw", token=token)
        return RemoteSources(wanted, cache=tmp_path / "cache", clock=clock, github=github)

    return make


def names(found):
    return [document.name for document in found.documents]


def tree(*paths):
    return json.dumps({"tree": [{"path": path, "type": "blob"} for path in paths]}).encode()


def test_a_url_is_asked_each_time_whether_it_changed(site, sources):
    site.pages["/r.yaml"] = runtime("one").encode()
    source = sources(f"{site.url}/r.yaml")

    first = source.load()
    unchanged = source.load()
    site.pages["/r.yaml"] = runtime("two").encode()
    changed = source.load()

    assert names(first) == names(unchanged) == ["one"]
    assert names(changed) == ["two"]
    assert "If-None-Match" in site.requests[1][1]
    assert first.faults == unchanged.faults == changed.faults == ()
    assert "copy" not in unchanged.documents[0].file


def test_github_is_asked_once_in_a_day_and_the_copy_is_called_one(site, sources, clock):
    site.pages["/api/repos/me/mine/git/trees/HEAD?recursive=1"] = tree("r.yaml")
    site.pages["/raw/me/mine/HEAD/r.yaml"] = runtime("one").encode()
    source = sources("github://me/mine")

    source.load()
    copy = source.load()
    within = len(site.requests)
    clock.now += GITHUB_TTL
    source.load()

    assert (within, len(site.requests)) == (2, 4)
    assert "(copy of 20" in copy.documents[0].file
    assert copy.faults == ()


@pytest.mark.parametrize("faulty", [b"{", b"<html>Sign in</html>", runtime("one", image="[1]").encode()])
def test_a_faulty_file_is_not_kept(site, sources, faulty):
    site.pages["/r.yaml"] = faulty
    source = sources(f"{site.url}/r.yaml")

    before = source.load()
    site.pages["/r.yaml"] = runtime("one").encode()
    after = source.load()

    assert (names(before), len(before.faults)) == ([], 1)
    assert (names(after), after.faults) == (["one"], ())


def test_the_good_copy_is_used_while_the_server_has_a_faulty_file(site, sources):
    site.pages["/r.yaml"] = runtime("one").encode()
    source = sources(f"{site.url}/r.yaml")
    source.load()
    site.pages["/r.yaml"] = runtime("one", image="[1]").encode()

    found = source.load()

    assert names(found) == ["one"]
    (fault,) = found.faults
    assert fault.severity == "warning"
    assert "is faulty now" in fault.message
    assert "The copy of 20" in fault.message


def test_a_faulty_copy_of_an_earlier_version_is_fetched_anew(site, sources, tmp_path):
    site.pages["/r.yaml"] = runtime("one").encode()
    source = sources(f"{site.url}/r.yaml")
    source.load()
    (kept,) = (tmp_path / "cache").iterdir()
    value = json.loads(kept.read_text())
    kept.write_text(json.dumps(value | {"body": b64encode(b"{").decode()}))

    found = source.load()

    assert (names(found), found.faults) == (["one"], ())


def test_a_faulty_listing_is_not_kept(site, sources):
    site.pages["/api/repos/me/mine/git/trees/HEAD?recursive=1"] = b"<html>"
    site.pages["/raw/me/mine/HEAD/r.yaml"] = runtime("one").encode()
    source = sources("github://me/mine")

    before = source.load()
    site.pages["/api/repos/me/mine/git/trees/HEAD?recursive=1"] = tree("r.yaml")

    assert "cannot be read" in before.faults[0].message
    assert names(source.load()) == ["one"]


def test_a_url_without_a_runtime_is_a_fault(site, sources):
    site.pages["/r.yaml"] = job().encode()

    assert "holds no TrainingRuntime" in sources(f"{site.url}/r.yaml").load().faults[0].message


def test_without_the_server_an_old_copy_is_used_with_a_warning(site, sources, clock):
    site.pages["/r.yaml"] = runtime("one").encode()
    source = sources(f"{site.url}/r.yaml")
    source.load()
    clock.now += 10 * GITHUB_TTL
    site.close()

    found = source.load()

    assert names(found) == ["one"]
    assert [fault.severity for fault in found.faults] == ["warning"]
    assert site.host in found.faults[0].message
    assert "The copy of 20" in found.faults[0].message


def test_a_server_error_uses_the_old_copy_too(site, sources):
    site.pages["/r.yaml"] = runtime("one").encode()
    source = sources(f"{site.url}/r.yaml")
    source.load()
    site.status = 500

    found = source.load()

    assert names(found) == ["one"]
    assert "500" in found.faults[0].message


def test_a_source_that_fails_does_not_affect_the_others(site, sources):
    site.pages["/r.yaml"] = runtime("one").encode()

    found = sources(
        f"{site.url}/none.yaml", "ftp://x/y", "http://127.0.0.1:1/r.yaml", f"{site.url}/r.yaml"
    ).load()

    assert names(found) == ["one"]
    texts = [f"{fault.file} {fault.message}" for fault in found.faults]
    assert len(texts) == 3
    assert "404" in texts[0]
    assert "is no runtime source" in texts[1]
    assert "127.0.0.1:1 does not answer" in texts[2]


def test_a_repository_is_listed_and_its_runtimes_read(site, sources):
    site.pages["/api/repos/kubeflow/trainer/git/trees/HEAD?recursive=1"] = tree(
        "README.md",
        "manifests/base/runtimes/torch.yaml",
        "manifests/base/runtimes/deep/jax.yaml",
        "manifests/base/runtimes/kustomization.yaml",
        "elsewhere/other.yaml",
    )
    site.pages["/raw/kubeflow/trainer/HEAD/manifests/base/runtimes/torch.yaml"] = runtime("torch").encode()
    site.pages["/raw/kubeflow/trainer/HEAD/manifests/base/runtimes/deep/jax.yaml"] = runtime("jax").encode()

    found = sources("github://kubeflow/trainer", token="t0ken").load()

    assert sorted(names(found)) == ["jax", "torch"]
    assert found.faults == ()
    assert {headers.get("Authorization") for _, headers in site.requests} == {"Bearer t0ken"}
    assert not site.asked("/raw/kubeflow/trainer/HEAD/elsewhere/other.yaml")


def test_a_path_and_a_revision_of_a_repository(site, sources):
    site.pages["/api/repos/me/mine/git/trees/release%2F1?recursive=1"] = tree(
        "a/b.yaml", "a/c.yaml", "ab/d.yaml"
    )
    for name in ("b", "c"):
        site.pages[f"/raw/me/mine/release/1/a/{name}.yaml"] = (
            runtime(name).encode() + b"---\n" + job().encode()
        )

    assert names(sources("github://me/mine/a@release/1").load()) == ["b", "c"]
    assert names(sources("github://me/mine/a/c.yaml@release/1").load()) == ["c"]
    assert "no YAML" in sources("github://me/mine/nowhere@release/1").load().faults[0].message


def test_a_rate_limit_error_names_the_token_variable(site, sources):
    site.pages["/api/repos/me/mine/git/trees/HEAD?recursive=1"] = tree()
    site.status = 403

    assert "GITHUB_TOKEN" in sources("github://me/mine").load().faults[0].message


def test_a_login_goes_to_no_other_host(site, tmp_path, clock):
    site.pages["/r.yaml"] = runtime("one").encode()
    github = GitHub(api="http://127.0.0.1:1/api", raw="http://127.0.0.1:1/raw", token="t0ken")

    RemoteSources([f"{site.url}/r.yaml"], cache=tmp_path, clock=clock, github=github).load()

    assert "Authorization" not in site.requests[0][1]


def test_files_and_folders_on_disk_are_sources(tmp_path, sources):
    (tmp_path / "one.yaml").write_text(runtime("one"))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "two.yaml").write_text(runtime("two"))

    found = sources(f"file://{tmp_path}/one.yaml", str(tmp_path / "more"), str(tmp_path / "none.yaml")).load()

    assert names(found) == ["one", "two"]
    assert "none.yaml cannot be read" in found.faults[0].message


@pytest.mark.parametrize("source", ["github://only-owner", "file://other-host/x", "relative/path", "C:\\x"])
def test_a_malformed_source_is_a_fault(sources, source):
    assert sources(source).load().faults[0].file == source


def test_an_invalid_runtime_is_reported_with_its_address(site, sources):
    site.pages["/r.yaml"] = runtime("one", image="[1]").encode()

    found = sources(f"{site.url}/r.yaml").load()

    assert found.documents == ()
    assert found.faults[0].file == f"{site.url}/r.yaml"


def test_too_large_an_answer_is_refused(site, tmp_path, clock, monkeypatch):
    monkeypatch.setattr(http_cache, "MAX_BYTES", 1000)
    site.pages["/big"] = b"x" * 100_000

    with pytest.raises(FetchError, match="more than 1,000 bytes"):
        CachedFetcher(tmp_path, clock=clock, headers={}, offline=False).get(
            f"{site.url}/big", ttl=0, check=lambda _: ""
        )


def test_a_host_that_does_not_answer_is_tried_once_in_a_round(tmp_path, clock, monkeypatch):
    import requests  # noqa: PLC0415

    tried = []

    def never(url, **_):
        tried.append(url)
        raise requests.ConnectTimeout("timed out")

    monkeypatch.setattr(requests, "get", never)
    fetcher = CachedFetcher(tmp_path, clock=clock, headers={}, offline=False)
    for name in ("a", "b"):
        with pytest.raises(FetchError, match=r"slow\.example does not answer"):
            fetcher.get(f"http://slow.example/{name}", ttl=0, check=lambda _: "")

    assert tried == ["http://slow.example/a"]


def test_a_damaged_cache_is_fetched_anew(site, sources, tmp_path):
    site.pages["/r.yaml"] = runtime("one").encode()
    sources(f"{site.url}/r.yaml").load()
    for path in (tmp_path / "cache").iterdir():
        path.write_text("{")

    assert names(sources(f"{site.url}/r.yaml").load()) == ["one"]
    assert site.asked("/r.yaml") == 2


def test_offline_only_the_cache_is_used(site, sources):
    site.pages["/r.yaml"] = runtime("one").encode()
    source = sources(f"{site.url}/r.yaml")

    before = source.load(offline=True)
    source.load()
    after = source.load(offline=True)

    assert names(before) == []
    assert names(after) == ["one"]
    assert site.asked("/r.yaml") == 1


def test_the_first_source_of_a_name_wins_over_later_ones_and_built_in_ones(tmp_path, clock):
    (tmp_path / "a.yaml").write_text(runtime("torch-distributed", image="mine"))

    found = load_available_runtimes([str(tmp_path / "a.yaml")], clock=clock)

    assert names(found)[0] == "torch-distributed"
    assert names(found).count("torch-distributed") == 2
    assert "mine" in str(found.documents[0].raw)


def test_a_refresher_reports_runtimes_that_came_later(site, sources, monkeypatch):
    monkeypatch.setattr(available_runtimes, "REFRESH_INTERVAL", 0.02)
    site.pages["/r.yaml"] = runtime("one").encode()
    told = threading.Event()
    seen = []

    def changed(documents):
        seen.append([document.name for document in documents])
        told.set()

    refresher = RuntimeRefresher(sources(f"{site.url}/r.yaml"), on_change=changed)
    at_start = [document.name for document in refresher.documents]
    refresher.start()
    try:
        assert told.wait(10)
    finally:
        refresher.close()

    assert "one" not in at_start
    assert "torch-distributed" in at_start
    assert seen == [["one", *at_start]]


def test_the_built_in_runtimes_are_valid_and_unique():
    found = load_builtin_runtimes()

    assert builtin_folder().is_dir()
    assert "torch-distributed" in [document.name for document in found]
    assert len({document.name for document in found}) == len(found)
    assert all(document.valid for document in found)


def test_the_cache_is_below_the_xdg_cache_folder(site, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    site.pages["/r.yaml"] = runtime("one").encode()

    RemoteSources.from_environment([f"{site.url}/r.yaml"], clock=Clock()).load()

    assert len(list((tmp_path / "reconciler").glob("*.json"))) == 1


def test_github_enterprise_by_its_usual_variables():
    github = GitHub.from_environment({"GITHUB_API_URL": "https://git.example/api/v3/", "GH_TOKEN": "t"})

    assert (github.api, github.raw) == ("https://git.example/api/v3", "https://git.example/raw")
    assert set(github.headers) == {"git.example"}
    assert GitHub.from_environment({}) == GitHub()


@pytest.mark.parametrize("name", ["plain", "flux-distributed", "mpi-distributed"])
def test_our_own_runtimes_give_up_after_one_retry(name):
    (document,) = (d for d in load_builtin_runtimes() if d.name == name)

    steps = document.raw["spec"]["template"]["spec"]["replicatedJobs"]

    assert {step["template"]["spec"].get("backoffLimit") for step in steps} == {1}
