#!/bin/sh
# SPDX-License-Identifier: MIT
# Stands for Claude Code: speaks its stream-json, and answers each message with the SHA-256 of its
# ANTHROPIC_API_KEY, so that what it was given is seen and is written nowhere. Asked what is kept, it
# answers what it finds in its settings, and puts something there.
session='"session_id":"fake-1"'
hash=$(printf %s "$ANTHROPIC_API_KEY" | sha256sum)
text="<message to=\\\"casa\\\">${hash%% *}</message>"

while IFS= read -r line; do
	case $line in
	*'"subtype":"initialize"'*)
		printf '{"type":"control_response","response":{"subtype":"success","request_id":"initialize","response":{"commands":[]}}}\n'
		;;
	*'"type":"user"'*)
		printf '{"type":"system","subtype":"init",%s}\n' "$session"
		printf '%s,"isReplay":true,%s}\n' "${line%\}}" "$session"
		case $line in
		*'and die'*)
			kill -9 $$
			;;
		*'what is kept'*)
			kept=$(cat "$HOME/.claude/x" 2>&1)
			wrote=$( (mkdir -p "$HOME/.claude" && echo it >"$HOME/.claude/x" &&
				: >"${TMPDIR:-/tmp}/new-$$") 2>&1)
			text="<message to=\\\"casa\\\">kept: $kept; wrong: $wrote; $HOME ${TMPDIR-none}</message>"
			;;
		esac
		printf '{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"%s"}]},%s}\n' "$text" "$session"
		printf '{"type":"result","subtype":"success","is_error":false,"result":"%s",%s}\n' "$text" "$session"
		;;
	esac
done
