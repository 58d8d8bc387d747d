"""Changes are reported soon, also through links and over the folder's own removal."""

import shutil
import threading
import time

import pytest

from reconciler.sources.folder import file_watcher
from reconciler.sources.folder.file_watcher import FileWatcher
from reconciler.sources.folder.manifest_files import list_manifest_files

DEADLINE = 5.0


class Watched:
    """A folder under watch, whose watches are renewed at each call as a scan does it."""

    def __init__(self, root):
        self.root = root
        self.calls = threading.Semaphore(0)
        self.called_at = 0.0
        self.watcher = FileWatcher(str(root), self._changed)
        self.watcher.watch(list_manifest_files(str(root)))

    def _changed(self):
        self.called_at = time.monotonic()
        self.watcher.watch(list_manifest_files(str(self.root)))
        self.calls.release()

    def settle(self):
        """Take the calls that are on their way: none for a while."""
        while self.calls.acquire(timeout=0.15):
            pass

    def delay_of(self, change):
        """Seconds after which the change is reported; None if it is not."""
        self.settle()
        begun = time.monotonic()
        change()
        done = time.monotonic()
        if not self.calls.acquire(timeout=DEADLINE):
            return None
        return self.called_at - max(begun, done)

    def quiet(self, act):
        self.settle()
        act()
        return not self.calls.acquire(timeout=0.3)


@pytest.fixture
def watched(tmp_path):
    root = tmp_path / "specs"
    root.mkdir()
    made = Watched(root)
    yield made
    made.watcher.close()


def test_a_new_manifest_is_reported_within_fifty_milliseconds(watched):
    delays = [watched.delay_of(lambda i=i: (watched.root / f"{i}.yaml").write_text("x")) for i in range(5)]

    assert None not in delays
    assert min(delays) < 0.05


def test_a_burst_of_changes_is_reported_soon_after_the_first(watched):
    stop = threading.Event()
    watched.settle()
    begun = time.monotonic()
    writer = threading.Thread(
        target=lambda: [
            (watched.root / "a.yaml").write_text(str(i)) for i in iter(lambda: stop.wait(0.005), True)
        ]
    )
    writer.start()
    assert watched.calls.acquire(timeout=DEADLINE)
    stop.set()
    writer.join()

    assert watched.called_at - begun < 0.2


def test_every_way_in_which_editors_save_is_reported(watched):
    path = watched.root / "a.yaml"
    path.write_text("one")
    spare = watched.root / ".a.yaml.swp"

    def by_renaming_the_old():
        path.rename(f"{path}~")
        path.write_text("two")
        path.with_name("a.yaml~").unlink()

    def by_replacing():
        spare.write_text("three")
        spare.replace(path)

    assert watched.delay_of(by_renaming_the_old) is not None
    assert watched.delay_of(by_replacing) is not None
    assert watched.delay_of(path.unlink) is not None


def test_sidecars_reads_and_temporary_files_are_not_reported(watched):
    (watched.root / "a.yaml").write_text("x")

    assert watched.quiet(lambda: (watched.root / "a.status.yaml").write_text("x"))
    assert watched.quiet(lambda: (watched.root / ".reconciler-a.status.yaml-12.tmp").write_text("x"))
    assert watched.quiet((watched.root / "a.yaml").read_text)
    assert watched.quiet(lambda: (watched.root / "notes.txt").write_text("x"))


def test_changes_in_hidden_folders_and_beside_the_folder_are_not_reported(watched, tmp_path):
    (watched.root / ".git").mkdir()

    assert watched.quiet((watched.root / ".git" / "objects").mkdir)
    assert watched.quiet(lambda: (watched.root / ".git" / "objects" / "a.yaml").write_text("x"))
    assert watched.quiet(lambda: (tmp_path / "beside.yaml").write_text("x"))


def test_a_link_to_a_single_file_is_followed(watched, tmp_path):
    (tmp_path / "outside").mkdir()
    target = tmp_path / "outside" / "real.yaml"
    target.write_text("one")

    assert watched.delay_of(lambda: (watched.root / "a.yaml").symlink_to(target)) is not None
    assert watched.delay_of(lambda: target.write_text("two")) is not None
    assert watched.quiet(lambda: (tmp_path / "outside" / "other.yaml").write_text("x"))


def test_new_folders_are_watched(watched):
    assert watched.delay_of(lambda: (watched.root / "sub" / "deep").mkdir(parents=True)) is not None
    assert watched.delay_of(lambda: (watched.root / "sub" / "deep" / "a.yaml").write_text("x")) is not None
    assert watched.delay_of(lambda: shutil.rmtree(watched.root / "sub")) is not None


def test_the_folder_may_be_removed_and_made_anew(watched):
    for _ in range(3):
        assert watched.delay_of(lambda: shutil.rmtree(watched.root)) is not None
        assert watched.delay_of(watched.root.mkdir) is not None
        assert watched.delay_of(lambda: (watched.root / "a.yaml").write_text("x")) is not None


def test_the_folder_may_be_removed_and_made_anew_at_once(watched):
    for _ in range(5):
        shutil.rmtree(watched.root)
        watched.root.mkdir()

    assert watched.delay_of(lambda: (watched.root / "a.yaml").write_text("x")) is not None


def test_a_folder_that_is_made_later_is_found(tmp_path):
    made = Watched(tmp_path / "not" / "yet")
    try:
        assert made.delay_of(lambda: made.root.mkdir(parents=True)) is not None
        assert made.delay_of(lambda: (made.root / "a.yaml").write_text("x")) is not None
    finally:
        made.watcher.close()


def test_a_swapped_link_is_reported_and_its_new_target_watched(watched, tmp_path):
    for name in ["one", "two"]:
        (tmp_path / "outside" / name).mkdir(parents=True)
    link, spare = watched.root / "current", watched.root / ".spare"

    def swap():
        spare.symlink_to(tmp_path / "outside" / "two")
        spare.replace(link)

    assert watched.delay_of(lambda: link.symlink_to(tmp_path / "outside" / "one")) is not None
    assert watched.delay_of(lambda: (tmp_path / "outside" / "one" / "a.yaml").write_text("x")) is not None
    assert watched.delay_of(swap) is not None
    assert watched.delay_of(lambda: (tmp_path / "outside" / "two" / "a.yaml").write_text("x")) is not None


def test_the_swap_of_a_mounted_configmap_is_reported(watched):
    for name in ["..1", "..2"]:
        (watched.root / name).mkdir()
        (watched.root / name / "a.yaml").write_text(name)
    (watched.root / "..data").symlink_to("..1")
    (watched.root / "a.yaml").symlink_to("..data/a.yaml")
    watched.settle()

    def swap():
        (watched.root / "..data_tmp").symlink_to("..2")
        (watched.root / "..data_tmp").replace(watched.root / "..data")

    assert watched.delay_of(swap) is not None


def test_the_folder_itself_may_be_a_link_that_is_swapped(tmp_path):
    for name in ["one", "two"]:
        (tmp_path / name).mkdir()
    (tmp_path / "specs").symlink_to("one")
    made = Watched(tmp_path / "specs")

    def swap():
        (tmp_path / "spare").symlink_to("two")
        (tmp_path / "spare").replace(tmp_path / "specs")

    try:
        assert made.delay_of(lambda: (tmp_path / "one" / "a.yaml").write_text("x")) is not None
        assert made.delay_of(swap) is not None
        assert made.delay_of(lambda: (tmp_path / "two" / "a.yaml").write_text("x")) is not None
    finally:
        made.watcher.close()


def test_a_call_can_be_scheduled(watched):
    watched.settle()
    begun = time.monotonic()

    watched.watcher.call_in(0.05)

    assert watched.calls.acquire(timeout=DEADLINE)
    assert watched.called_at - begun >= 0.05


def test_without_file_watches_the_folder_is_polled(tmp_path, monkeypatch):
    class NoMoreWatches:
        def __init__(self):
            raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(file_watcher, "Observer", NoMoreWatches)
    monkeypatch.setattr(file_watcher, "POLL_INTERVAL", 0.05)
    made = Watched(tmp_path)
    try:
        assert made.delay_of(lambda: (tmp_path / "a.yaml").write_text("x")) is not None
        assert made.delay_of((tmp_path / "a.yaml").unlink) is not None
        assert made.quiet(lambda: (tmp_path / "a.status.yaml").write_text("x"))
    finally:
        made.watcher.close()


def test_nothing_is_reported_after_closing(watched):
    watched.settle()
    watched.watcher.close()

    assert watched.quiet(lambda: (watched.root / "a.yaml").write_text("x"))
