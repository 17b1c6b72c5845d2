#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In a guest: fio, traced by a tool, and an untraced fio beside it. The tools, the
# filters and the workloads follow each other, and one fio of each kind does them
# all: to start it takes longer than what it is to do.
#
# tools.sh CALLS FILTER...	calls of each of the processes; filter none: no tool
#
# Prints, separated by tabs: run TOOL FILTER WORKLOAD (tool warm: to be left out), then microseconds of the traced
# fio, the untraced fio and the tool, nanoseconds of the CPU not idle, calls that the
# tool counted, events it saved, events it lost, and lines of events it wrote; and fio,
# who it is, and what it reports, as JSON.
#
# shellcheck disable=SC2086,SC3045 # words; busybox's read knows times

set -e
calls=$1
shift
dir=/tmp/fio
groups=/sys/fs/cgroup
jobs=4
mkdir -p $dir
cd $dir
mkfifo never
exec 3<>never

# For one of fio's processes, before its first call: says who it is, and waits for
# somebody who writes, as all of them do.
cat >wait.sh <<'END'
# wait.sh ROLE RUN
echo $PPID >>/tmp/fio/pids.$1.$2
exec 3</tmp/fio/go.$2
END

# Beside the tool: lets fio's processes go on, and waits for their end.
cat >go.sh <<'END'
# go.sh RUN
exec 3<>/tmp/fio/never
groups=/sys/fs/cgroup
echo $$ >$groups/cgroup.procs
usage()
{
	for role in traced untraced tool; do
		sed -n "s/^usage_usec /$1 $role /p" $groups/$2.$role/cpu.stat
	done
	sed -n "s/^cpu0 .* \([0-9]*\) [0-9]* [0-9]*\$/$1 busy \1/p" /proc/schedstat
}
usage begin $1 >usage
exec 4>go.$1
for role in traced untraced; do
	while grep -q 'populated 1' $groups/$1.$role/cgroup.events; do
		read -r -t 0.05 _ <&3 || :
	done
done
usage end $1 >>usage
END

# runs: TOOL.FILTER.WORKLOAD of all; the first ones warm up
runs()
{
	echo warm.none.read warm.none.write warm.none.readwrite
	for filter; do
		for workload in read write readwrite; do
			for tool in syscount rw-tracer rw-tracer-all; do
				if [ $filter = none ]; then
					echo none.none.$workload
					break
				fi
				echo $tool.$filter.$workload
			done
		done
	done
}

# Sequential, in blocks of 4 KiB, on files in memory.
job_file()
{
	cat <<-END
		[global]
		ioengine=psync
		bs=4k
		size=$((4 * calls))k
		directory=$dir/$1
		filename_format=\$jobnum
		numjobs=$jobs
		stonewall
	END
	shift
	for run; do
		printf '[%s]\nrw=%s\nexec_prerun=exec sh %s/wait.sh %s %s\n' \
			"$run" "${run##*.}" $dir $role "$run"
	done
}

# The tool in a control group of its own, whose time is what it takes.
trace()
{
	tool=${1%%.*} filter=${1#*.} filter=${filter%.*}
	case $tool in
	none | warm)
		sh ./go.sh "$1"
		return
		;;
	esac
	pids=$(xargs <pids.traced."$1" | tr ' ' ,)
	case $tool in
	rw-*) options="--hook kprobe" ;;
	*) options= ;;
	esac
	# shellcheck disable=SC2016 # for the other shell
	sh -c 'echo $$ >"$0" && exec "$@"' $groups/"$1".tool/cgroup.procs \
		kview-$tool $options --filter "$filter" -p "$pids" -o events \
		-- sh ./go.sh "$1" 2>messages || {
		cat messages >&2
		exit 1
	}
	sed -n "s/^usage_usec /end tool /p" $groups/"$1".tool/cpu.stat >>usage
}

# The differences, and what the tool has written.
report()
{
	awk -v run="$1" -v OFS='\t' '
		FILENAME == "usage" && $1 == "begin" { begin[$2] = $3 }
		FILENAME == "usage" && $1 == "end" { end[$2] = $3 }
		FILENAME == "events" && $2 ~ /^(pread64|pwrite64)$/ { counted += $1 }
		FILENAME == "events" && $2 == "events" && $3 == "saved," { saved = $1; lost = $4 }
		FILENAME == "events" && $2 == "calls," { lost = $3 }
		FILENAME == "events" && $5 ~ /^[RW]$/ { lines++ }
		END {
			split(run, name, ".")
			print "run", name[1], name[2], name[3],
				end["traced"] - begin["traced"],
				end["untraced"] - begin["untraced"],
				end["tool"] - begin["tool"], end["busy"] - begin["busy"],
				counted + 0, saved + 0, lost + 0, lines + 0
		}' usage events
}

all=$(runs "$@")
for run in $all; do
	mkfifo go.$run
done
for role in traced untraced; do
	mkdir $role
	job_file $role $all >$role.fio
	/root/fio --eta=never --output-format=json --output=$role.json $role.fio >&2 &
done
for run in $all; do
	for role in traced untraced tool; do
		mkdir $groups/"$run".$role
	done
	for role in traced untraced; do
		until [ "$(cat pids.$role."$run" 2>/dev/null | wc -l)" = $jobs ]; do
			kill -0 $!
			read -r -t 0.05 _ <&3 || :
		done
		while read -r pid; do
			echo "$pid" >$groups/"$run".$role/cgroup.procs
		done <pids.$role."$run"
	done
	: >events
	trace "$run"
	report "$run"
	rmdir $groups/"$run".*
done
wait
for role in traced untraced; do
	printf 'fio\t%s\t%s\n' $role "$(tr -d '\n\t' <$role.json)"
done
