"""Image pulls: on real engines from a real registry, and their schedule on a test clock."""

import json
import threading
import time

import pytest

from reconciler.controller.nodeservices.image_puller import (
    FIRST_RETRY,
    LAST_RETRY,
    PRESENT_FOR,
    ImagePuller,
    effective_pull_policy,
    progress_message,
    retry_delay,
)
from reconciler.controller.nodeservices.registry_credentials import find_credentials
from reconciler.engines.protocol import PullProgress, RegistryAuth
from reconciler.errors import ImageError

DEADLINE = 60.0


class Notifications:
    """Collects the puller's notifications; waits for a state."""

    def __init__(self):
        self.images = []
        self.condition = threading.Condition()

    def __call__(self, image):
        with self.condition:
            self.images.append(image)
            self.condition.notify_all()

    def await_state(self, puller, image, *statuses):
        with self.condition:
            assert self.condition.wait_for(lambda: puller.state(image).status in statuses, DEADLINE)
        return puller.state(image)


@pytest.fixture
def notified():
    return Notifications()


def remove_image(engine, image):
    """Uses the engine's own API: the Protocol has no such call."""
    engine._http.call("DELETE", f"/images/{image}", "remove the image", params={"force": "true"})


@pytest.fixture
def real(engine, notified):
    puller = ImagePuller(engine, on_change=notified, clock=time.time)
    yield puller
    puller.close()
    for image in set(notified.images):
        if engine.image_exists(image):
            remove_image(engine, image)


@pytest.fixture
def own_image(loopback, tmp_path, request):
    """An image for this test alone in the registry, in no engine's store."""
    from tests.support.registry import small_archive  # noqa: PLC0415

    name = request.node.originalname.replace("_", "-")[:60].strip("-")
    archive = small_archive(tmp_path / "own.tar", {"etc/name": name.encode()})
    return loopback.push(f"{name}-{time.time_ns()}", archive)


# -- on real engines


@pytest.mark.engine
def test_absent_image_is_pulled(engine, real, notified, own_image):
    first = real.request(own_image, "IfNotPresent")
    done = notified.await_state(real, own_image, "present", "failed")

    assert first.status == "pulling"
    assert done.status == "present", done.message
    assert engine.image_exists(own_image)
    assert real.request(own_image, "IfNotPresent").status == "present"
    assert own_image in notified.images


@pytest.mark.engine
def test_never_pulls_nothing_and_names_image_and_policy(engine, real, own_image):
    state = real.request(own_image, "Never")

    assert state.status == "absent"
    assert own_image in state.message
    assert "Never" in state.message
    assert f"{engine.name} load" in state.message
    assert state.retry_at is not None
    assert not engine.image_exists(own_image)


@pytest.mark.engine
def test_never_accepts_a_present_image(real, small_image):
    assert real.request(small_image, "Never").status == "present"


@pytest.mark.engine
def test_always_asks_the_registry_once_per_attempt(real, notified, own_image, loopback):
    repository = own_image.removeprefix(f"{loopback.host}/").rpartition(":")[0]

    def count_requests():
        path = f"/v2/{repository}/manifests/latest"
        return loopback.requests("HEAD", path) + loopback.requests("GET", path)

    def pulled(token):
        before = count_requests()
        real.request(own_image, "Always", token=token)
        assert notified.await_state(real, own_image, "present", "failed").status == "present"
        assert real.request(own_image, "Always", token=token).status == "present"
        return count_requests() - before

    assert pulled("uid/0") > 0
    assert pulled("uid/0") == 0
    assert pulled("uid/1") > 0


@pytest.mark.engine
def test_missing_image_fails_with_image_registry_and_reason(real, notified, loopback):
    image = loopback.image("no-such-image", "v1")

    real.request(image, "IfNotPresent")
    state = notified.await_state(real, image, "failed", "present")

    assert state.status == "failed"
    assert image in state.message
    assert loopback.host in state.message
    assert "not found" in state.message.lower() or "unknown" in state.message.lower()
    assert state.retry_at - time.time() == pytest.approx(FIRST_RETRY, abs=2)


@pytest.mark.engine
def test_unreachable_registry_fails_with_its_name(real, notified):
    image = "127.0.0.1:1/team/image:v1"

    real.request(image, "IfNotPresent")
    state = notified.await_state(real, image, "failed", "present")

    assert image in state.message
    assert "refused" in state.message


@pytest.mark.engine
def test_pull_uses_the_credentials_of_the_secret(engine, real, notified, locked_registry):
    image = locked_registry.image("small")
    config = {"auths": {locked_registry.host: {"username": "alice", "password": "pass:word"}}}
    auth = find_credentials(image, [{".dockerconfigjson": json.dumps(config).encode()}])

    real.request(image, "Always", token="a")
    refused = notified.await_state(real, image, "failed", "present")
    again = real.request(image, "Always", token="a", auth=auth)
    allowed = notified.await_state(real, image, "failed", "present")

    assert refused.status == "failed"
    assert locked_registry.host in refused.message
    assert again.status == "pulling"
    assert allowed.status == "present", allowed.message
    assert "pass:word" not in refused.message + repr(auth)


@pytest.mark.engine
def test_pruned_image_is_pulled_again_after_forget(engine, real, notified, own_image):
    real.request(own_image, "IfNotPresent")
    notified.await_state(real, own_image, "present")
    remove_image(engine, own_image)

    real.forget(own_image)

    assert real.request(own_image, "IfNotPresent").status == "pulling"
    notified.await_state(real, own_image, "present")
    assert engine.image_exists(own_image)


# -- the schedule


class Store:
    """An image store whose pulls end when the test says. Stands for an engine only in timing."""

    name = "podman"

    def __init__(self):
        self.images = set()
        self.pulls = []
        self.lookups = 0
        self.failure = None
        self.gate = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.running = 0
        self.most = 0
        self.lock = threading.Lock()
        self.report = None

    def image_exists(self, image):
        self.lookups += 1
        return image in self.images

    def pull_image(self, image, *, auth, progress):
        with self.lock:
            self.pulls.append((image, auth))
            self.running += 1
            self.most = max(self.most, self.running)
        self.begun.release()
        if self.report is not None:
            progress(self.report)
        assert self.gate.acquire(timeout=DEADLINE)
        with self.lock:
            self.running -= 1
        if self.failure is not None:
            raise self.failure
        self.images.add(image)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def puller(store, notified, clock):
    made = ImagePuller(store, on_change=notified, clock=clock)
    yield made
    made.close()
    for _ in range(10):
        store.gate.release()


def test_many_requests_for_an_image_cause_one_pull(store, puller, notified):
    states = [puller.request("a", "IfNotPresent").status for _ in range(5)]
    store.gate.release()
    notified.await_state(puller, "a", "present")

    assert states == ["pulling"] * 5
    assert [image for image, _ in store.pulls] == ["a"]


def test_two_images_are_pulled_at_a_time(store, puller, notified):
    for image in "abcde":
        puller.request(image, "IfNotPresent")
    for _ in range(5):
        assert store.begun.acquire(timeout=DEADLINE)
        if store.running == 2:
            store.gate.release()
    for _ in range(5):
        store.gate.release()
    for image in "abcde":
        notified.await_state(puller, image, "present")

    assert store.most == 2
    assert sorted(image for image, _ in store.pulls) == list("abcde")


def test_failed_pull_backs_off_exponentially(store, puller, notified, clock):
    store.failure = ImageError("Image a could not be pulled from docker.io: no such thing.")
    delays = []
    for _ in range(7):
        assert puller.request("a", "IfNotPresent").status == "pulling"
        store.gate.release()
        state = notified.await_state(puller, "a", "failed")
        delays.append(state.retry_at - clock.now)
        clock.now = state.retry_at - 0.1
        assert puller.request("a", "IfNotPresent") == state
        clock.now = state.retry_at

    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert len(store.pulls) == 7


def test_success_resets_the_failure_count(store, puller, notified, clock):
    store.failure = ImageError("no")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    clock.now = notified.await_state(puller, "a", "failed").retry_at

    store.failure = None
    puller.request("a", "IfNotPresent")
    store.gate.release()

    assert notified.await_state(puller, "a", "present").attempts == 0


def test_image_loaded_by_hand_ends_the_back_off(store, puller, notified):
    store.failure = ImageError("no")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    notified.await_state(puller, "a", "failed")

    store.images.add("a")

    assert puller.request("a", "IfNotPresent").status == "present"


def test_never_keeps_another_jobs_back_off(store, puller, notified):
    store.failure = ImageError("no")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    failed = notified.await_state(puller, "a", "failed")

    assert puller.request("a", "Never").status == "absent"
    assert puller.request("a", "IfNotPresent") == failed


def test_other_credentials_are_tried_at_once(store, puller, notified):
    store.failure = ImageError("no")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    notified.await_state(puller, "a", "failed")
    auth = RegistryAuth(username="u", password="p")

    assert puller.request("a", "IfNotPresent", auth=auth).status == "pulling"
    store.gate.release()
    notified.await_state(puller, "a", "failed")
    assert store.pulls[-1] == ("a", auth)


def test_present_image_is_not_looked_up_again_for_a_while(store, puller, clock):
    store.images.add("a")
    for _ in range(5):
        puller.request("a", "IfNotPresent")
    lookups = store.lookups
    clock.now += PRESENT_FOR
    puller.request("a", "IfNotPresent")

    assert (lookups, store.lookups) == (1, 2)


def test_always_requested_during_a_pull_pulls_once_more(store, puller, notified):
    puller.request("a", "Always", token="one")
    assert store.begun.acquire(timeout=DEADLINE)
    puller.request("a", "Always", token="one")
    puller.request("a", "Always", token="two")
    store.gate.release()
    store.gate.release()
    notified.await_state(puller, "a", "present")

    assert len(store.pulls) == 2
    assert puller.request("a", "Always", token="one").status == "present"
    assert puller.request("a", "Always", token="two").status == "present"


def test_progress_is_kept_and_notified(store, puller, notified):
    store.report = PullProgress(current=12_000_000, total=340_000_000)
    puller.request("a", "IfNotPresent")
    with notified.condition:
        assert notified.condition.wait_for(lambda: "a" in notified.images, DEADLINE)

    assert puller.state("a").message == "pulling, 12 of 340 MB"


def test_internal_error_does_not_stop_the_worker(store, puller, notified):
    store.failure = ZeroDivisionError("oops")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    assert "oops" in notified.await_state(puller, "a", "failed").message

    store.failure = None
    puller.request("b", "IfNotPresent")
    store.gate.release()

    assert notified.await_state(puller, "b", "present")


def test_close_starts_no_more_pulls(store, puller):
    for image in "abc":
        puller.request(image, "IfNotPresent")
    assert store.begun.acquire(timeout=DEADLINE)
    assert store.begun.acquire(timeout=DEADLINE)

    puller.close()
    store.gate.release()
    store.gate.release()

    assert not store.begun.acquire(timeout=0.2)


def test_retry_delay_does_not_overflow():
    assert retry_delay(10_000) == LAST_RETRY


@pytest.mark.parametrize(
    ("manifest", "option", "expected"),
    [
        ("", "Never", "Never"),
        ("Always", "Never", "Always"),
        ("Never", "Always", "Never"),
        ("?", "Always", "Always"),
    ],
)
def test_manifest_pull_policy_wins_over_the_option(manifest, option, expected):
    assert effective_pull_policy(manifest, option) == expected


def test_progress_message_without_a_total():
    assert progress_message(PullProgress(message="Copying blob")) == "Copying blob"
    assert progress_message(PullProgress(current=5_000_000)) == "pulling, 5 MB so far"
