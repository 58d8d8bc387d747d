#!/bin/sh
# Installs what the tests on real engines need, on Debian and its kin, as root or through sudo.
# Elsewhere, or without either, it says what is missing and exits 0: those tests then skip, and are counted.
set -eu

packages="podman runc netavark aardvark-dns uidmap slirp4netns docker.io docker-registry debootstrap
  busybox-static iptables ca-certificates git openssh-client openssh-server gnupg zsh fish
  mandoc"

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# A program that is there, from wherever it came, is not installed over (Docker's own packages, say).
satisfied() {
  case "$1" in
    docker.io) command -v dockerd >/dev/null 2>&1 || [ -x /usr/sbin/dockerd ] ;;
    *) installed "$1" ;;
  esac
}

if ! command -v apt-get >/dev/null 2>&1; then
  echo "This is no Debian system: tests on engines use the Podman or Docker that answers here." >&2
  for program in podman docker dockerd docker-registry debootstrap runc; do
    command -v "$program" >/dev/null 2>&1 || echo "  missing: $program (the tests that need it are skipped)" >&2
  done
  exit 0
fi

missing=""
for package in $packages; do
  satisfied "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
  echo "Engines and tools for the tests are installed."
  exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
  as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  echo "Neither root nor sudo without a password, so these are not installed and their tests are skipped:" >&2
  echo "  $missing" >&2
  echo "To install them: sudo apt-get install --no-install-recommends$missing" >&2
  exit 0
fi

echo "Installing for the tests:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Standard input is closed and debconf told so: no question may stop an unattended run.
if ! $as_root apt-get update -q </dev/null >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "apt-get update failed; trying with the package lists that are there." >&2
fi
# shellcheck disable=SC2086  # lists of words
if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing \
  </dev/null >"$log" 2>&1; then
  # A service that can't start here (no systemd) is no reason to stop: the tests start their own.
  tail -n 15 "$log" >&2
  for package in $missing; do
    satisfied "$package" || echo "  not installed: $package (the tests that need it are skipped)" >&2
  done
fi
