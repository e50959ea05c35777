#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A database file of SQLite's, for reading, that can be closed and opened again under a connection
 * that stays: what SQLite knows of the schema, and the statements it has compiled, outlive the look.
 * What is read then comes through a descriptor of that look's own (a kept one can be stale on VirtioFS
 * and NFS).
 *
 * To SQLite it is a file of version 1 (https://www.sqlite.org/c3ref/io_methods.html), which knows
 * neither shared memory nor mapped pages: no write-ahead log, and nothing stale.
 */
#include <sqlite3.h>

/* Makes vfs, a copy of the ordinary one, open databases so. Other files stay as they are. */
void db_file_use(sqlite3_vfs *vfs);

/* Closes the file while the connection holds no lock on it. Nothing can be read until it is reopened. */
void db_file_rest(sqlite3_file *file);

/* SQLITE_OK, or of xOpen; then the connection is good for nothing but to be closed. */
int db_file_reopen(sqlite3_file *file);
