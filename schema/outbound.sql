-- SPDX-License-Identifier: MIT
-- outbound.db: what the session loop writes and the host reads.
CREATE TABLE IF NOT EXISTS messages_out (
  id            TEXT PRIMARY KEY,
  seq           INTEGER UNIQUE,                  -- odd
  in_reply_to   TEXT,
  timestamp     TEXT NOT NULL,
  deliver_after TEXT,
  recurrence    TEXT,
  kind          TEXT NOT NULL,
  platform_id   TEXT,
  channel_type  TEXT,
  thread_id     TEXT,
  content       TEXT NOT NULL                    -- JSON
);

CREATE TABLE IF NOT EXISTS processing_ack (
  message_id     TEXT PRIMARY KEY,
  status         TEXT NOT NULL,                  -- processing | completed | failed
  status_changed TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS session_state (
  key        TEXT PRIMARY KEY,
  value      TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

-- What was given to the agent; the rows of a turn go when all of its messages are acknowledged. Ours:
-- no host reads it.
CREATE TABLE IF NOT EXISTS attempts (
  message_id    TEXT PRIMARY KEY,
  turn          TEXT NOT NULL DEFAULT '',        -- the first message that it was claimed together with
  starts        INTEGER NOT NULL DEFAULT 0,      -- how often it was claimed
  excused       INTEGER NOT NULL DEFAULT 0,      -- how many of them ended in order
  running       INTEGER NOT NULL DEFAULT 0,      -- its claim stands, whatever the host made of it
  done          INTEGER NOT NULL DEFAULT 0,      -- acknowledged
  script_output TEXT                             -- of its pre-task script, JSON
) WITHOUT ROWID;                                 -- a page less in each claim and in each answer

CREATE TABLE IF NOT EXISTS container_state (
  id                       INTEGER PRIMARY KEY CHECK (id = 1),
  current_tool             TEXT,
  tool_declared_timeout_ms INTEGER,
  tool_started_at          TEXT,
  updated_at               TEXT NOT NULL
);
