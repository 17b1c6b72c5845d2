# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by the scripts: where things are, and how to say things.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=$top/build
# shellcheck disable=SC2034
linux=$build/linux
# shellcheck disable=SC2034 # used by those who source this
kernels=(baseline pre kview debug control)

say()
{
	printf '%s\n' "$*" >&2
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# The trees are built the same whatever the user's git is configured to.
git()
{
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 command git \
		-c core.autocrlf=false -c core.abbrev=12 -c diff.renames=true \
		-c diff.algorithm=default -c user.name='kview authors' \
		-c user.email=kview@kview.example "$@"
}

# lock trees|build: only one script at a time changes the kernel trees, and only
# one builds a kernel. A lock belongs to a process tree: a script that holds it
# may run another, which then does not take it. unlock trees gives it back.
lock()
{
	local held=KVIEW_LOCKED_$1 fd
	[ "${!held:-}" != "$top" ] || return 0
	mkdir -p "$build"
	case $1 in
	build) fd=9; exec 9>"$build/.lock.build" ;;
	trees) fd=8; exec 8>"$build/.lock.trees" ;;
	esac
	if ! flock -n $fd; then
		say "waiting: another script holds ${build#"$top/"}/.lock.$1"
		flock $fd
	fi
	export "$held=$top"
}

unlock()
{
	local held=KVIEW_LOCKED_$1
	case $1 in
	build) exec 9>&- ;;
	trees) exec 8>&- ;;
	esac
	unset "$held"
}

# The name of the kernel's source tree: debug is kview, configured differently;
# control is kview with a patch more, under such a path that the compiler's cache
# has nearly all of it.
source_of()
{
	case $1 in
	debug) echo "$build/src/kview" ;;
	control) echo "$build/control/src/kview" ;;
	*) echo "$build/src/$1" ;;
	esac
}

# Where the kernel of that name is built.
output_of()
{
	case $1 in
	control) echo "$build/control/kview" ;;
	*) echo "$build/$1" ;;
	esac
}

# kernel_make NAME [ARG...]: make, for the kernel of that name
kernel_make()
{
	local name=$1 base=$build
	shift
	[ "$name" != control ] || base=$build/control
	make_in "$base" "$(source_of "$name")" "$(output_of "$name")" "$@"
}

# make_in BASE TREE OUT [ARG...]: make in a kernel tree. The paths below BASE only
# count relatively, and the tree's is that of a link, the same in each OUT: what
# does not depend on a change, the cache has for all kernels in all checkouts. (What
# that is, the compiler says, without a run of the preprocessor before.)
make_in()
{
	local base=$1 tree=$2 out=$3 link=$3/tree
	shift 3
	mkdir -p "$out"
	ln -sfn "$tree" "$link"
	CCACHE_BASEDIR=${base%/build} CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 \
	KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
	KBUILD_BUILD_USER=kview KBUILD_BUILD_HOST=kview KBUILD_BUILD_VERSION=1 \
		make -C "$tree" O="$out" srctree="$link" abs_srctree="$link" \
		CC="ccache gcc" HOSTCC="ccache gcc" LOCALVERSION= \
		KCFLAGS="-fmacro-prefix-map=tree/=" "$@"
}

# kernel_version TREE: as in 6.12.117
kernel_version()
{
	sed -n 's/^VERSION = //p; s/^PATCHLEVEL = //p; s/^SUBLEVEL = //p' \
		"$1/Makefile" | paste -sd. -
}

# add_worktree NAME ARG...: check out the tree of that name with git worktree add.
# One that was killed on the way left its mark, and is begun again.
add_worktree()
{
	local tree mark
	tree=$(source_of "$1")
	mark=${tree%/*}/.$1.unfinished
	shift
	say "checking out ${tree#"$top/"}"
	mkdir -p "${tree%/*}"
	[ ! -e "$mark" ] || rm -rf "$tree"
	: >"$mark"
	git -C "$linux" worktree prune
	git -C "$linux" worktree add -f -q "$@"
	rm "$mark"
}

have_worktree()
{
	local tree
	tree=$(source_of "$1")
	[ -e "$tree/.git" ] && [ ! -e "${tree%/*}/.$1.unfinished" ]
}
