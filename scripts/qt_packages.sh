#!/bin/sh
# Prints the Debian packages that Qt needs, with one font: without fonts it draws boxes for letters.
echo libegl1 libgl1 libfontconfig1 libglib2.0-0 libdbus-1-3 libx11-6 libx11-xcb1 libxkbcommon0 libxkbcommon-x11-0 \
    libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 \
    libxcb-sync1 libxcb-util1 libxcb-xfixes0 libxcb-xkb1 libwayland-client0 libwayland-cursor0 fontconfig fonts-dejavu-core
