#!/bin/sh
# SPDX-License-Identifier: MIT
# Stands for Claude Code in a container that has no memory to spare: speaks its stream-json, says each
# message again, and eats memory on request. Of an image that is as good as empty it needs Python only.
eat='eaten = []
while True: eaten.append(b"x" * 1048576)'
session='"session_id":"fake-1"'

say() { # TEXT
	printf '{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"%s"}]},%s}\n' "$1" "$session"
	printf '{"type":"result","subtype":"success","is_error":false,"result":"%s",%s}\n' "$1" "$session"
}

message() { # TEXT
	say "<message to=\\\"casa\\\">$1</message>"
}

while IFS= read -r line; do
	case $line in
	*'"subtype":"initialize"'*)
		printf '{"type":"control_response","response":{"subtype":"success","request_id":"initialize","response":{"commands":[]}}}\n'
		;;
	*'"type":"user"'*)
		printf '{"type":"system","subtype":"init",%s}\n' "$session"
		printf '%s,"isReplay":true,%s}\n' "${line%\}}" "$session"
		case $line in
		*'a tool eats'*)
			python3 -c "$eat"
			message "the tool ended with $?"
			;;
		*'the agent eats'*)
			exec python3 -c "$eat"
			;;
		*)
			message "still here"
			;;
		esac
		;;
	esac
done
