#!/bin/sh
# Adds Terrarium, which stays where it is, to this user's menu, and opens .terrarium files with it. Needs no root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=${XDG_DATA_HOME:-$HOME/.local/share}
mkdir -p "$data/applications" "$data/mime/packages" "$data/icons/hicolor/scalable/apps"
cp "$here/terrarium.svg" "$data/icons/hicolor/scalable/apps/terrarium.svg"
cp "$here/terrarium-run.xml" "$data/mime/packages/terrarium-run.xml"
sed "s|^Exec=.*|Exec=\"$here/terrarium\" %f|" "$here/terrarium.desktop" >"$data/applications/terrarium.desktop"
if command -v update-mime-database >/dev/null; then update-mime-database "$data/mime"; fi
if command -v update-desktop-database >/dev/null; then update-desktop-database "$data/applications"; fi
echo "Terrarium is in the menu. To remove it: delete $data/applications/terrarium.desktop and $here."
