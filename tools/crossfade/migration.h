/*
 * migration.h - what the verbs of `crossfade migration` read from the server's answer, and say alike.
 */
#ifndef CROSSFADE_MIGRATION_H
#define CROSSFADE_MIGRATION_H

#include <stdint.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "tool.h"

#define MIGRATION_PATH "/api/v1/migrations/%s"

enum { BUCKETS = 10000 };

/* "old" or "new" of an answer. */
const cJSON *migration_side(const cJSON *migration, const char *name);

/* "new", "moving" or "stuck" buckets. */
uint64_t migration_buckets(const cJSON *migration, const char *name);

/* Why buckets are stuck, and what to do. WHERE ends the commands that are suggested (client_where()). */
void migration_stuck_explain(FILE *to, const cJSON *migration, const char *where);

/* steer.c */
int migration_set_run(int argc, char **argv);
int migration_rollback_run(int argc, char **argv);

#endif
