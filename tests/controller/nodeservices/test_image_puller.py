"""Pulling: on real engines from a real registry, and its schedule on a turned clock."""

import base64
import json
import threading
import time

import pytest

from reconciler.controller.nodeservices.image_puller import (
    FIRST_RETRY,
    LAST_RETRY,
    PRESENT_FOR,
    ImagePuller,
    progress_message,
    pull_policy,
    retry_delay,
)
from reconciler.controller.nodeservices.registry_credentials import auth_for
from reconciler.engines.protocol import PullProgress, RegistryAuth
from reconciler.errors import ImageError

DEADLINE = 60.0


class Told:
    """What the puller has told; waits for a state."""

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
def told():
    return Told()


def remove_image(engine, image):
    """By the engine's own API: the Protocol has no need of it."""
    engine._http.call("DELETE", f"/images/{image}", "remove the image", params={"force": "true"})


@pytest.fixture
def real(engine, told):
    puller = ImagePuller(engine, on_change=told, clock=time.time)
    yield puller
    puller.close()
    for image in set(told.images):
        if engine.image_exists(image):
            remove_image(engine, image)


@pytest.fixture
def own_image(loopback, tmp_path, request):
    """An image of this test's own in the registry, in no engine's store."""
    from tests.support.registry import small_archive  # noqa: PLC0415

    name = request.node.originalname.replace("_", "-")[:60].strip("-")
    archive = small_archive(tmp_path / "own.tar", {"etc/name": name.encode()})
    return loopback.push(f"{name}-{time.time_ns()}", archive)


# -- on real engines


@pytest.mark.engine
def test_an_absent_image_is_pulled_and_present_afterwards(engine, real, told, own_image):
    first = real.request(own_image, "IfNotPresent")
    done = told.await_state(real, own_image, "present", "failed")

    assert first.status == "pulling"
    assert done.status == "present", done.message
    assert engine.image_exists(own_image)
    assert real.request(own_image, "IfNotPresent").status == "present"
    assert own_image in told.images


@pytest.mark.engine
def test_never_names_image_and_policy_and_pulls_nothing(engine, real, own_image):
    state = real.request(own_image, "Never")

    assert state.status == "absent"
    assert own_image in state.message
    assert "Never" in state.message
    assert f"{engine.name} load" in state.message
    assert state.retry_at is not None
    assert not engine.image_exists(own_image)


@pytest.mark.engine
def test_never_takes_what_is_there(real, small_image):
    assert real.request(small_image, "Never").status == "present"


@pytest.mark.engine
def test_always_asks_the_registry_once_per_attempt(real, told, own_image, loopback):
    repository = own_image.removeprefix(f"{loopback.host}/").rpartition(":")[0]

    def asked():
        path = f"/v2/{repository}/manifests/latest"
        return loopback.requests("HEAD", path) + loopback.requests("GET", path)

    def pulled(token):
        before = asked()
        real.request(own_image, "Always", token=token)
        assert told.await_state(real, own_image, "present", "failed").status == "present"
        assert real.request(own_image, "Always", token=token).status == "present"
        return asked() - before

    assert pulled("uid/0") > 0
    assert pulled("uid/0") == 0
    assert pulled("uid/1") > 0


@pytest.mark.engine
def test_a_missing_image_fails_with_image_registry_and_reason(real, told, loopback):
    image = loopback.image("no-such-image", "v1")

    real.request(image, "IfNotPresent")
    state = told.await_state(real, image, "failed", "present")

    assert state.status == "failed"
    assert image in state.message
    assert loopback.host in state.message
    assert "not found" in state.message.lower() or "unknown" in state.message.lower()
    assert state.retry_at - time.time() == pytest.approx(FIRST_RETRY, abs=2)


@pytest.mark.engine
def test_a_registry_that_is_away_fails_with_its_name(real, told):
    image = "127.0.0.1:1/team/image:v1"

    real.request(image, "IfNotPresent")
    state = told.await_state(real, image, "failed", "present")

    assert image in state.message
    assert "refused" in state.message


@pytest.mark.engine
def test_a_registry_with_a_login_takes_the_secrets_credentials(engine, real, told, locked_registry):
    image = locked_registry.image("small")
    config = {"auths": {locked_registry.host: {"username": "alice", "password": "pass:word"}}}
    auth = auth_for(image, [{".dockerconfigjson": json.dumps(config).encode()}])

    real.request(image, "Always", token="a")
    refused = told.await_state(real, image, "failed", "present")
    again = real.request(image, "Always", token="a", auth=auth)
    allowed = told.await_state(real, image, "failed", "present")

    assert refused.status == "failed"
    assert locked_registry.host in refused.message
    assert again.status == "pulling"
    assert allowed.status == "present", allowed.message
    assert "pass:word" not in refused.message + repr(auth)


@pytest.mark.engine
def test_an_image_that_was_pruned_is_pulled_again_once_forgotten(engine, real, told, own_image):
    real.request(own_image, "IfNotPresent")
    told.await_state(real, own_image, "present")
    remove_image(engine, own_image)

    real.forget(own_image)

    assert real.request(own_image, "IfNotPresent").status == "pulling"
    told.await_state(real, own_image, "present")
    assert engine.image_exists(own_image)


# -- the schedule


class Store:
    """An image store whose pulls end when the test says. Stands for an engine only in timing."""

    name = "podman"

    def __init__(self):
        self.images = set()
        self.pulls = []
        self.asked = 0
        self.failure = None
        self.gate = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.running = 0
        self.most = 0
        self.lock = threading.Lock()
        self.report = None

    def image_exists(self, image):
        self.asked += 1
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
def puller(store, told, clock):
    made = ImagePuller(store, on_change=told, clock=clock)
    yield made
    made.close()
    for _ in range(10):
        store.gate.release()


def test_many_who_want_an_image_cause_one_pull(store, puller, told):
    states = [puller.request("a", "IfNotPresent").status for _ in range(5)]
    store.gate.release()
    told.await_state(puller, "a", "present")

    assert states == ["pulling"] * 5
    assert [image for image, _ in store.pulls] == ["a"]


def test_two_images_are_pulled_at_a_time(store, puller, told):
    for image in "abcde":
        puller.request(image, "IfNotPresent")
    for _ in range(5):
        assert store.begun.acquire(timeout=DEADLINE)
        if store.running == 2:
            store.gate.release()
    for _ in range(5):
        store.gate.release()
    for image in "abcde":
        told.await_state(puller, image, "present")

    assert store.most == 2
    assert sorted(image for image, _ in store.pulls) == list("abcde")


def test_a_failed_pull_is_tried_again_later_and_later(store, puller, told, clock):
    store.failure = ImageError("Image a could not be pulled from docker.io: no such thing.")
    delays = []
    for _ in range(7):
        assert puller.request("a", "IfNotPresent").status == "pulling"
        store.gate.release()
        state = told.await_state(puller, "a", "failed")
        delays.append(state.retry_at - clock.now)
        clock.now = state.retry_at - 0.1
        assert puller.request("a", "IfNotPresent") == state
        clock.now = state.retry_at

    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert len(store.pulls) == 7


def test_a_success_forgets_the_failures_before(store, puller, told, clock):
    store.failure = ImageError("no")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    clock.now = told.await_state(puller, "a", "failed").retry_at

    store.failure = None
    puller.request("a", "IfNotPresent")
    store.gate.release()

    assert told.await_state(puller, "a", "present").attempts == 0


def test_an_image_loaded_by_hand_is_noticed_while_waiting(store, puller, told):
    store.failure = ImageError("no")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    told.await_state(puller, "a", "failed")

    store.images.add("a")

    assert puller.request("a", "IfNotPresent").status == "present"


def test_never_leaves_another_jobs_back_off_alone(store, puller, told):
    store.failure = ImageError("no")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    failed = told.await_state(puller, "a", "failed")

    assert puller.request("a", "Never").status == "absent"
    assert puller.request("a", "IfNotPresent") == failed


def test_other_credentials_are_tried_at_once(store, puller, told):
    store.failure = ImageError("no")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    told.await_state(puller, "a", "failed")
    auth = RegistryAuth(username="u", password="p")

    assert puller.request("a", "IfNotPresent", auth=auth).status == "pulling"
    store.gate.release()
    told.await_state(puller, "a", "failed")
    assert store.pulls[-1] == ("a", auth)


def test_an_image_seen_is_believed_for_a_while(store, puller, clock):
    store.images.add("a")
    for _ in range(5):
        puller.request("a", "IfNotPresent")
    asked = store.asked
    clock.now += PRESENT_FOR
    puller.request("a", "IfNotPresent")

    assert (asked, store.asked) == (1, 2)


def test_always_during_a_pull_that_began_before_pulls_once_more(store, puller, told):
    puller.request("a", "Always", token="one")
    assert store.begun.acquire(timeout=DEADLINE)
    puller.request("a", "Always", token="one")
    puller.request("a", "Always", token="two")
    store.gate.release()
    store.gate.release()
    told.await_state(puller, "a", "present")

    assert len(store.pulls) == 2
    assert puller.request("a", "Always", token="one").status == "present"
    assert puller.request("a", "Always", token="two").status == "present"


def test_progress_is_kept_and_told(store, puller, told):
    store.report = PullProgress(current=12_000_000, total=340_000_000)
    puller.request("a", "IfNotPresent")
    with told.condition:
        assert told.condition.wait_for(lambda: "a" in told.images, DEADLINE)

    assert puller.state("a").message == "pulling, 12 of 340 MB"
    assert puller.state("a").progress == store.report


def test_an_error_of_our_own_does_not_stop_the_pulling(store, puller, told):
    store.failure = ZeroDivisionError("oops")
    puller.request("a", "IfNotPresent")
    store.gate.release()
    assert "oops" in told.await_state(puller, "a", "failed").message

    store.failure = None
    puller.request("b", "IfNotPresent")
    store.gate.release()

    assert told.await_state(puller, "b", "present")


def test_closing_starts_no_more_pulls(store, puller):
    for image in "abc":
        puller.request(image, "IfNotPresent")
    assert store.begun.acquire(timeout=DEADLINE)
    assert store.begun.acquire(timeout=DEADLINE)

    puller.close()
    store.gate.release()
    store.gate.release()

    assert not store.begun.acquire(timeout=0.2)


def test_the_delay_doubles_up_to_five_minutes():
    assert [retry_delay(n) for n in (1, 2, 3, 6, 100)] == [10, 20, 40, 300, LAST_RETRY]


@pytest.mark.parametrize(
    ("manifest", "option", "expected"),
    [
        ("", "Never", "Never"),
        ("Always", "Never", "Always"),
        ("Never", "Always", "Never"),
        ("?", "Always", "Always"),
    ],
)
def test_the_manifests_policy_wins_over_the_option(manifest, option, expected):
    assert pull_policy(manifest, option) == expected


def test_progress_without_a_total_is_told_in_the_engines_words():
    assert progress_message(PullProgress(message="Copying blob")) == "Copying blob"
    assert progress_message(PullProgress(current=5_000_000)) == "pulling, 5 MB so far"


# -- credentials


def secret(auths, *, key=".dockerconfigjson"):
    return {key: json.dumps({"auths": auths} if key == ".dockerconfigjson" else auths).encode()}


def login(name):
    return {"auth": base64.b64encode(f"{name}:pass:word".encode()).decode()}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("registry.example/team/app:v1", "team"),
        ("registry.example/teams/app", "host"),
        ("registry.example/app", "host"),
        ("registry.example:5000/app", "port"),
        ("busybox", "hub"),
        ("docker.io/me/app", "hub"),
        ("x.cloud.example/app", "star"),
        ("y.x.cloud.example/app", None),
        ("elsewhere.example/app", None),
        ("NOT AN IMAGE", None),
    ],
)
def test_the_longest_matching_entry_gives_the_credentials(image, expected):
    auths = {
        "registry.example": login("host"),
        "https://registry.example/team": login("team"),
        "registry.example:5000": login("port"),
        "https://index.docker.io/v1/": login("hub"),
        "*.cloud.example": login("star"),
    }

    found = auth_for(image, [secret(auths)])

    assert (found.username if found else None) == expected
    assert found is None or found.password == "pass:word"


def test_the_old_kind_of_secret_is_read_too():
    assert auth_for("r.example/a", [secret({"r.example": login("old")}, key=".dockercfg")]).username == "old"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "no key .dockerconfigjson"),
        ({".dockerconfigjson": b"{s3cret"}, "not JSON"),
        ({".dockerconfigjson": b"[]"}, "no JSON object"),
        ({".dockerconfigjson": b'{"auths": []}'}, "no mapping"),
        (secret({"r.example": {"auth": "czNjcmV0"}}), "neither username and password"),
        (secret({"r.example": {}}), "neither username and password"),
    ],
)
def test_a_secret_that_holds_no_credentials_is_said_without_its_content(data, says):
    from reconciler.errors import ConfigError  # noqa: PLC0415

    with pytest.raises(ConfigError, match=says) as caught:
        auth_for("r.example/a", [data])
    assert "s3cret" not in str(caught.value)
