#!/bin/sh
# Readies .venv for `run`, `test` or `bundle` (the one argument); returns at once where that is done already.
# What it needs from the system it installs where it is root on Debian or Ubuntu; elsewhere it names the command.
# PYTHON=… picks the interpreter, TORCH=cpu takes torch's small CPU-only build.
set -eu
cd "$(dirname "$0")/.."
goal=$1
python=.venv/bin/python
stamp=.venv/ready-$goal

fail() {
    echo "make $goal: $*" >&2
    exit 1
}

# need REASON PACKAGE…: installs Debian packages, or ends with the sentence that says how to.
need() {
    reason=$1
    shift
    command -v apt-get >/dev/null || fail "$reason: add it with your system's packages (Debian calls them $*)."
    [ "$(id -u)" = 0 ] || fail "$reason: run 'sudo apt-get update && sudo apt-get install -y $*', then make $goal again."
    echo "$reason: installing $*"
    apt-get update -q || echo "apt-get update had errors: going on with the package lists that there are." >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}

find_python() {
    set -- python3 python3.13 python3.12 python3.11 python3.14
    [ -z "${PYTHON:-}" ] || set -- "$PYTHON"
    for candidate in "$@"; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Terrarium needs Python 3.11 or newer, and ${PYTHON:-python3} is missing or older:" \
        "install one from python.org, or name it: make $goal PYTHON=/path/to/python3."
}

make_venv() {
    "$python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    base=$(find_python) || exit 1
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        need "$base cannot make virtual environments" "$("$base" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    fi
    "$base" -m venv --clear .venv
}

install() {
    "$python" -m pip install -q 'pip>=25.1' # the first that knows dependency groups
    case ${TORCH:-} in
    cpu) "$python" -m pip install 'torch>=2.6' --index-url https://download.pytorch.org/whl/cpu ;;
    ?*) fail "TORCH can only be cpu, not $TORCH." ;;
    esac
    case $goal in
    run) "$python" -m pip install -e . ;;
    test) "$python" -m pip install -e . --group dev ;;
    bundle) "$python" -m pip install -e . --group build ;;
    esac
}

# The shared libraries that Qt wants and the system lacks, for drawing and for the display at hand (a bundle: for any).
missing_libraries() {
    set -- .venv/lib/python3*/site-packages/PySide6/Qt/lib/libQt6Widgets.so.6
    plugins=${1%/lib/*}/plugins/platforms
    set -- "$1" "$plugins/libqoffscreen.so"
    if [ -n "${DISPLAY:-}" ] || [ "$goal" = bundle ]; then set -- "$@" "$plugins/libqxcb.so"; fi
    if [ -n "${WAYLAND_DISPLAY:-}" ] || [ "$goal" = bundle ]; then set -- "$@" "$plugins"/libqwayland*.so; fi
    ldd "$@" 2>/dev/null | sed -n 's/^[[:space:]]*\(.*\) => not found/\1/p' | sort -u | tr '\n' ' '
}

ready_linux() {
    missing=$(missing_libraries)
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2046 # one argument for each package
        need "Qt misses ${missing% }" $(sh scripts/qt_packages.sh)
        missing=$(missing_libraries)
        [ -z "$missing" ] || fail "Qt still misses ${missing% }: please report this with the name of your system."
    fi
    # Without fonts Qt draws boxes for letters.
    [ -n "$(fc-list 2>/dev/null)" ] || need "there is no font, or no fontconfig to find it" fontconfig fonts-dejavu-core
    if [ "$goal" = bundle ]; then
        command -v objdump >/dev/null || need "PyInstaller misses objdump" binutils
        # Debian links Python statically and ships its shared library apart; PyInstaller needs that one.
        "$python" -c 'import ctypes.util, sys, sysconfig as s
version = "python3.%d" % sys.version_info[1]
sys.exit(not (s.get_config_var("Py_ENABLE_SHARED") or ctypes.util.find_library(version)))' ||
            need "PyInstaller misses Python's shared library" "$("$python" -c 'import sys; print("libpython3.%d" % sys.version_info[1])')"
    fi
}

if [ ! -e "$stamp" ] || [ -n "$(find pyproject.toml scripts/setup.sh -newer "$stamp")" ] || ! "$python" -c '' 2>/dev/null; then
    make_venv
    install
    touch .venv/ready-run "$stamp"
fi
[ "$(uname)" != Linux ] || ready_linux
