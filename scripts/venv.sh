# Sourced by the other scripts: finds a Python, makes .venv beside the project and installs lading into it.
# Where Debian's venv or pip is missing it says the one apt line, or runs it as root.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

find_python() {
  local name
  for name in ${LADING_PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "lading needs Python 3.11 or newer: on Debian 12, Ubuntu 24.04 or Raspberry Pi OS bookworm:" >&2
  echo "  sudo apt-get install -y python3 python3-venv" >&2
  return 1
}

make_venv() {
  local python
  python=$(find_python) || exit 1
  if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv python3-pip
      else
        echo "Python's venv or pip is missing:  sudo apt-get install -y python3-venv python3-pip" >&2
        exit 1
      fi
    fi
    echo "making a virtual environment in .venv …" >&2
    "$python" -m venv --clear .venv
  fi
}

# install ARGUMENTS…: pip install, once for each state of pyproject.toml and arguments.
install() {
  local stamp=.venv/installed
  local want
  want="$(sha256sum pyproject.toml) $*"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    echo "installing lading and what it needs into .venv …" >&2
    .venv/bin/python -m pip install -qq --disable-pip-version-check "pip>=25.1"
    .venv/bin/python -m pip install -qq --disable-pip-version-check "$@"
    echo "$want" > "$stamp"
  fi
}
