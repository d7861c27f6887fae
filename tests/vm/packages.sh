# SPDX-License-Identifier: GPL-2.0
# Sourced: Debian packages by way of the host's own apt sources, never installed.

# a wider view of the archive, from setup
if [ -e "$cache/apt/apt.conf" ]; then export APT_CONFIG=$cache/apt/apt.conf; fi

# The version that apt would install, nothing when apt does not know the package.
package_version() {
	apt-cache --no-all-versions show "$1" 2>/dev/null | sed -n 's/^Version: //p'
}

# package_depends PACKAGE PREFIX: the dependencies whose names start with PREFIX
package_depends() {
	apt-cache --no-all-versions show "$1" | sed -n 's/^Depends: //p' |
		tr ',|' '\n\n' | sed 's/^ *//; s/ .*//' | grep "^$2" | sort -u
}

# packages_unpack DIR PACKAGE...
packages_unpack() {
	local dir=$1 debs
	shift
	debs=$(mktemp -d "$dir/debs.XXXXXX")
	say "downloading $*"
	(cd "$debs" && apt-get -q -o APT::Sandbox::User= download "$@") >&2 || exit $OFFLINE
	for deb in "$debs"/*.deb; do
		dpkg -x "$deb" "$dir"
	done
	rm -r "$debs"
}
