# Makes base.tar, what the image of a cluster's pods is built on: Python, and no shell. Debian's
# mmdebstrap makes it, as root. Other versions of packages make another base, and so another image.
set -eu
export SOURCE_DATE_EPOCH=1
mmdebstrap --mode=root --variant=extract \
    --include=python3-minimal,libpython3-stdlib,ca-certificates,tzdata,netbase,base-files,media-types \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' trixie base.tar
